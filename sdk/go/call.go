package tamis

import (
	"strings"
	"time"

	"tamis-sdk/internal/abi"
)

// Call is a request to a cluster that the filter's `allow` table grants.
type Call struct {
	Cluster string
	// Method is GET if it is empty.
	Method string
	// Target is path and query; "/" if it is empty.
	Target string
	// Authority is the cluster's name if it is empty.
	Authority string
	Fields    []Field
	Body      []byte
	Trailers  []Field
	// Timeout is the proxy's limit if it is zero.
	Timeout time.Duration
}

// Answer is what came back. Any status is an answer.
type Answer struct {
	Status   int
	Fields   []Field
	Body     []byte
	Trailers []Field
}

// Header has all values of the name joined by ", ".
func (a *Answer) Header(name string) (value string, found bool) {
	var values []string
	for _, field := range a.Fields {
		if strings.EqualFold(field.Name, name) {
			values = append(values, field.Value)
		}
	}
	return strings.Join(values, ", "), len(values) > 0
}

// CallError is why there is no answer.
type CallError string

const (
	// CallNotAllowed: the filter's `allow` table does not grant the cluster.
	CallNotAllowed CallError = "not-allowed"
	// CallNoSuchCluster: there is none of that name.
	CallNoSuchCluster CallError = "no-such-cluster"
	// CallNoHealthyEndpoint: none of its endpoints is healthy.
	CallNoHealthyEndpoint CallError = "no-healthy-endpoint"
	// CallTimeout: the answer took too long.
	CallTimeout CallError = "timeout"
	// CallReset: the connection ended before the answer did.
	CallReset CallError = "reset"
	// CallTooLarge: the answer is longer than the proxy allows, or there are more calls at once than it allows.
	CallTooLarge CallError = "too-large"
	// CallProtocol: the other side does not speak HTTP as it should, or what was to be sent is malformed.
	CallProtocol CallError = "protocol"
)

func (e CallError) Error() string { return "there is no answer: " + string(e) }

// answerBytes is what the proxy lets the body of an answer have.
const answerBytes = 4 << 20

var callErrors = []CallError{
	CallNotAllowed, CallNoSuchCluster, CallNoHealthyEndpoint, CallTimeout, CallReset, CallTooLarge, CallProtocol,
}

// Send waits for the answer; the proxy goes on with other work meanwhile. The error is a [CallError].
func (c Call) Send() (*Answer, error) {
	c = c.whole()
	abi.Reserve(answerBytes)
	results := enter()
	defer leave()
	abi.HttpClientSend(
		clean(c.Cluster), clean(c.Method), clean(c.Target), some(c.Authority != ""), clean(c.Authority),
		packFields(c.Fields), plain(c.Body), packFields(c.Trailers), shortMilliseconds(c.Timeout), results.at(),
	)
	return answer(results.record())
}

// Sent is what became of one of several calls.
type Sent struct {
	Answer *Answer
	Err    error
}

// SendAll sends all at once, side by side, and waits for every answer; they are in the order of the calls.
func SendAll(calls ...Call) []Sent {
	size := 0
	for _, call := range calls {
		size += 64 + 8 + 3*(len(call.Cluster)+len(call.Method)+len(call.Target)+len(call.Authority)+4)
		size += sizeOf(call.Fields) + sizeOf(call.Trailers) + len(call.Body)
	}
	p := pack(size)
	outgoing := p.take(uint32(len(calls))*64, 8)
	for index, call := range calls {
		call, at := call.whole(), outgoing+uint32(index)*64
		p.text(at, clean(call.Cluster))
		p.text(at+8, clean(call.Method))
		p.text(at+16, clean(call.Target))
		p.word(at+24, some(call.Authority != ""))
		p.text(at+28, clean(call.Authority))
		p.fields(at+36, call.Fields)
		p.text(at+44, plain(call.Body))
		p.fields(at+52, call.Trailers)
		p.word(at+60, shortMilliseconds(call.Timeout))
	}
	// All answers come at once: as many long ones as a filter's memory has room for.
	abi.Reserve(answerBytes)
	results := enter()
	defer leave()
	abi.HttpClientSendAll(p.list(len(calls)), results.at())
	sent := make([]Sent, len(calls))
	for index, result := range results.records(0, 32) {
		sent[index].Answer, sent[index].Err = answer(result)
	}
	return sent
}

func (c Call) whole() Call {
	if c.Method == "" {
		c.Method = "GET"
	}
	if c.Target == "" {
		c.Target = "/"
	}
	return c
}

func answer(result record) (*Answer, error) {
	if result.byte(0) == 1 {
		return nil, callErrors[result.byte(4)]
	}
	return &Answer{
		Status:   int(result.short(4)),
		Fields:   result.fields(8),
		Body:     result.bytes(16),
		Trailers: result.fields(24),
	}, nil
}
