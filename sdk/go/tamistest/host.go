//go:build !wasip1

// Package tamistest is a host for tests with plain `go test`: enough of the proxy to run the hooks of one exchange. The module in
// the real host is what `tamis filter test` runs.
//
//	func TestGate(t *testing.T) {
//		gate, err := tamistest.Configure(`{"key": "sesame"}`)
//		if err != nil {
//			t.Fatal(err)
//		}
//		if seen := gate.Exchange(tamistest.Exchange{}); seen.Response.Status != 403 {
//			t.Error(seen.Response)
//		}
//	}
//
// A program is one filter, which has one exchange in hand: tests of it do not run side by side.
package tamistest

import (
	"maps"
	"net/http"

	tamis "tamis-sdk"
	"tamis-sdk/internal/abi"
)

// Host is a filter that accepted its configuration.
type Host struct {
	// Wanted are the hooks that are called.
	Wanted []tamis.Hook
	// KeepsState: the filter said so.
	KeepsState bool
	// Stores are all granted, and keep what they have as long as the filter is configured: values by store and key. A test may put
	// something there. Times to live do not pass.
	Stores map[string]map[string][]byte
	// Metrics by name, with the values of labels behind it: sums of counters, the last value of gauges, how often histograms
	// counted.
	Metrics map[string]float64
	// Log has all lines.
	Log []Line

	filter  tamis.Filter
	metrics []metric
}

// Line is one of the log.
type Line struct {
	Severity tamis.Severity
	Text     string
}

// Exchange is what the others do: the client, the upstream, services that the filter calls.
type Exchange struct {
	// Method is GET if it is empty, Target "/".
	Method, Target string
	Header         http.Header
	Body           string
	// Answer is the upstream's.
	Answer Answer
	// Calls answers the filter's own calls: with an answer, or with a [tamis.CallError].
	Calls func(tamis.Call) (Answer, error)
}

// Answer is one of a service.
type Answer struct {
	// Status is 200 if it is zero.
	Status   int
	Header   http.Header
	Body     string
	Trailers http.Header
}

// Seen is what those who take part saw.
type Seen struct {
	// Upstream is the request that reached the upstream; nil if none did.
	Upstream *Request
	// Response is what the client got; nil after a reset.
	Response *Response
	Notes    map[string]string
	// Destination is what the filter said of the way, by the words of the interface: "set-retry".
	Destination map[string][]string
}

// Request is one as it went upstream.
type Request struct {
	Method, Target, Authority, Cluster string
	Header                             http.Header
	Body                               string
}

// Response is one as the client got it.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Configure configures the filter of the program, that of [tamis.Configure]; the error is what it refuses. `config` is JSON.
func Configure(config string) (*Host, error) { return ConfigureWith(config, nil) }

// ConfigureWith does so with inputs.
func ConfigureWith(config string, inputs map[string][]byte) (*Host, error) {
	host := &Host{Stores: map[string]map[string][]byte{}, Metrics: map[string]float64{}}
	host.bind()
	made, err := abi.Configure([]byte(config), inputs)
	if err != nil {
		return nil, err
	}
	host.filter = made.(tamis.Filter)
	return host, nil
}

// Exchange puts one exchange through the request and the response hook.
func (h *Host) Exchange(given Exchange) Seen {
	h.bind()
	hand := &hand{
		method: given.Method, target: given.Target, authority: "localhost", cluster: "origin",
		request: newMessage(given.Header, given.Body), calls: given.Calls,
		notes: map[string]string{}, said: map[string][]string{},
	}
	if hand.method == "" {
		hand.method = http.MethodGet
	}
	if hand.target == "" {
		hand.target = "/"
	}
	hand.bind()
	seen := Seen{}
	verdict := tamis.Verdict(tamis.Next)
	if h.filter.OnRequest != nil && h.wants(tamis.HookRequest) {
		verdict = h.filter.OnRequest(&tamis.Request{})
	}
	if verdict == nil || verdict == tamis.Next {
		seen.Upstream = &Request{
			Method: hand.method, Target: hand.target, Authority: hand.authority, Cluster: hand.cluster,
			Header: hand.request.header(), Body: string(hand.request.body),
		}
		hand.answer(given.Answer)
		if h.filter.OnResponse != nil && h.wants(tamis.HookResponse) {
			verdict = h.filter.OnResponse(&tamis.Response{})
		}
	}
	if reply, replied := verdict.(*tamis.Reply); replied {
		if err := reply.Check(); err != nil {
			panic("the reply is refused: " + err.Error())
		}
		hand.status, hand.response = hand.reply.status, hand.reply.message
	}
	if verdict != tamis.Reset {
		seen.Response = &Response{Status: hand.status, Header: hand.response.header(), Body: string(hand.response.body)}
	}
	seen.Notes, seen.Destination = maps.Clone(hand.notes), hand.said
	return seen
}

func (h *Host) wants(hook tamis.Hook) bool {
	for _, wanted := range h.Wanted {
		if wanted == hook {
			return true
		}
	}
	return false
}
