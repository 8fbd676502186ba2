//go:build !wasip1

package tamistest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	tamis "tamis-sdk"
)

// hooked is the filter whose hooks a test sets.
var hooked tamis.Filter

func init() {
	tamis.Configure(func(config struct{ Bad bool }, setup *tamis.Setup) (tamis.Filter, error) {
		if config.Bad {
			return tamis.Filter{}, tamis.ConfigErrorf("a[1].b", "expected c")
		}
		return hooked, nil
	})
}

// with is a host whose filter has these hooks.
func with(t *testing.T, filter tamis.Filter) *Host {
	t.Helper()
	hooked = filter
	host, err := Configure("{}")
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func same[T comparable](t *testing.T, what string, found, expected T) {
	t.Helper()
	if found != expected {
		t.Errorf("%s: expected %v, found %v", what, expected, found)
	}
}

func TestARequestIsReadAndWritten(t *testing.T) {
	host := with(t, tamis.Filter{OnRequest: func(request *tamis.Request) tamis.Verdict {
		query, found := request.Query()
		same(t, "head", strings.Join([]string{request.Method(), request.Path(), query}, " "), "POST /a b=1")
		same(t, "query", found, true)
		same(t, "values", strings.Join(request.Headers("X-Many"), "|"), "1|2")
		joined, _ := request.Header("x-many")
		same(t, "joined", joined, "1, 2")
		_, found = request.Header("x-none")
		same(t, "none", found, false)
		same(t, "all", len(request.AllHeaders()), 3)
		body, err := request.ReadBody(100)
		same(t, "body", string(body), "sent\x00")
		same(t, "error", err, nil)
		same(t, "source", request.Connection().Source(), "192.0.2.1")
		for _, err := range []error{
			request.SetMethod("PUT"), request.SetTarget("/d"), request.SetHeader("x-many", "3"), request.AddHeader("X-New", "\xff"),
			request.Destination().SetCluster("users"), request.Destination().SetRetry(2, 0, "5xx", "429"),
		} {
			same(t, "refused", err, nil)
		}
		request.RemoveHeader("x-bytes")
		request.SetBody([]byte("other"))
		request.Destination().SetSubset(tamis.Field{Name: "zone", Value: "a"})
		request.Notes().Set("a", "b")
		return nil
	}})
	header := http.Header{"X-Many": {"1", "2"}, "X-Bytes": {"\xe4"}}
	seen := host.Exchange(Exchange{Method: "POST", Target: "/a?b=1", Header: header, Body: "sent\x00"})
	upstream := seen.Upstream
	same(t, "upstream", strings.Join([]string{upstream.Method, upstream.Target, upstream.Cluster, upstream.Body}, " "), "PUT /d users other")
	same(t, "fields", strings.Join(upstream.Header.Values("x-many"), "|")+upstream.Header.Get("x-new")+upstream.Header.Get("x-bytes"), "3\xff")
	same(t, "retry", strings.Join(seen.Destination["set-retry"], " "), "2 5xx 429")
	same(t, "subset", strings.Join(seen.Destination["set-subset"], " "), "zone=a")
	same(t, "note", seen.Notes["a"], "b")
	same(t, "status", seen.Response.Status, 200)
}

func TestWhatTheProxyRefusesIsAnErrorAndChangesNothing(t *testing.T) {
	host := with(t, tamis.Filter{OnRequest: func(request *tamis.Request) tamis.Verdict {
		for name, value := range map[string]string{"Connection": "close", "host": "a", "x y": "1", "x-a": "1\r\nx-b: 2"} {
			var refused tamis.Refused
			same(t, name, errors.As(request.SetHeader(name, value), &refused), true)
		}
		same(t, "CONNECT", request.SetMethod("CONNECT") != nil, true)
		same(t, "199", tamis.NewReply(199).Check() != nil, true)
		_, err := request.ReadBody(1)
		same(t, "body", err, error(tamis.BodyTooLarge))
		return tamis.Next
	}})
	same(t, "x-a", host.Exchange(Exchange{Body: "long"}).Upstream.Header.Get("x-a"), "")
}

func TestVerdictsAreWhatAHookReturns(t *testing.T) {
	verdict := tamis.Verdict(tamis.NewReply(418).Header("x-b", "2").Text("short and stout"))
	host := with(t, tamis.Filter{OnRequest: func(*tamis.Request) tamis.Verdict { return verdict }})
	seen := host.Exchange(Exchange{})
	same(t, "status", seen.Response.Status, 418)
	same(t, "reply", seen.Response.Header.Get("x-b")+seen.Response.Body, "2short and stout")
	same(t, "upstream", seen.Upstream == nil, true)
	verdict = tamis.Reset
	same(t, "reset", host.Exchange(Exchange{}).Response == nil, true)
	verdict = tamis.NewGRPCReply(7, "no")
	same(t, "gRPC", host.Exchange(Exchange{}).Response.Header.Get("grpc-status"), "7")
}

func TestAnAnswerIsReadAndWritten(t *testing.T) {
	host := with(t, tamis.Filter{OnResponse: func(response *tamis.Response) tamis.Verdict {
		if response.Status() == 500 {
			return tamis.NewReply(503)
		}
		body, _ := response.ReadBody(100)
		response.SetBody([]byte(strings.ToUpper(string(body))))
		same(t, "refused", response.SetHeader("x-path", response.Request().Path()), nil)
		same(t, "refused", response.SetStatus(201), nil)
		same(t, "600", response.SetStatus(600) != nil, true)
		return tamis.Next
	}})
	same(t, "wanted", slices.Equal(host.Wanted, []tamis.Hook{tamis.HookResponse}), true)
	answer := host.Exchange(Exchange{Target: "/a", Answer: Answer{Body: "text"}}).Response
	same(t, "status", answer.Status, 201)
	same(t, "answer", answer.Header.Get("x-path")+answer.Body, "/aTEXT")
	same(t, "reply", host.Exchange(Exchange{Answer: Answer{Status: 500}}).Response.Status, 503)
}

func TestCallsAndStoresAreAnsweredByTheTest(t *testing.T) {
	seen := tamis.Store("seen")
	host := with(t, tamis.Filter{OnRequest: func(request *tamis.Request) tamis.Verdict {
		call := tamis.Call{Cluster: "idp", Target: "/who", Body: []byte("b"), Fields: []tamis.Field{{Name: "x-a", Value: "1"}}}
		sent := tamis.SendAll(call, tamis.Call{Cluster: "gone"})
		same(t, "error", sent[1].Err, error(tamis.CallTimeout))
		answer, err := call.Send()
		same(t, "error", err, nil)
		for _, answer := range []*tamis.Answer{answer, sent[0].Answer} {
			value, _ := answer.Header("x-b")
			same(t, "answer", string(answer.Body)+value+answer.Trailers[0].Value, "ada of idp at /who 1b22")
		}
		sum, _ := seen.Increment("ada", 5, 0)
		sum, _ = seen.Increment("ada", -7, 0)
		same(t, "sum", sum, -2)
		first, _ := seen.CompareAndSet("lock", nil, []byte("1"), 0)
		second, _ := seen.CompareAndSet("lock", nil, []byte("1"), 0)
		same(t, "lock", first && !second, true)
		same(t, "delete", seen.Delete("lock"), nil)
		same(t, "set", seen.Set("word", []byte("word"), 0), nil)
		_, err = seen.Increment("word", 1, 0)
		same(t, "no number", err, error(tamis.StoreUnavailable))
		word, found, _ := seen.Get("word")
		same(t, "word", string(word)+map[bool]string{true: " is there"}[found], "word is there")
		tamis.Logf(tamis.Warn, "%d bytes at %d", len(tamis.RandomBytes(4)), min(tamis.Monotonic(), 0))
		return tamis.Next
	}})
	calls := func(call tamis.Call) (Answer, error) {
		if call.Cluster == "gone" {
			return Answer{}, tamis.CallTimeout
		}
		body := "ada of " + call.Cluster + " at " + call.Target + " " + call.Fields[0].Value + string(call.Body)
		return Answer{Header: http.Header{"X-B": {"2"}}, Body: body, Trailers: http.Header{"X-Sum": {"2"}}}, nil
	}
	host.Exchange(Exchange{Calls: calls})
	same(t, "store", string(host.Stores["seen"]["ada"]), "-2")
	same(t, "log", host.Log[0], Line{tamis.Warn, "4 bytes at 0"})
}

func TestAConfigurationIsRefusedWithItsPlace(t *testing.T) {
	hooked = tamis.Filter{OnTick: func() {}}
	for config, expected := range map[string]string{`{"bad": true}`: "a[1].b: expected c", `{"worse": 1}`: `worse: unknown key "worse"`} {
		_, err := Configure(config)
		if err == nil || err.Error() != expected {
			t.Errorf("%s: expected %s, found %v", config, expected, err)
		}
	}
	host := with(t, hooked)
	same(t, "wanted", slices.Equal(host.Wanted, []tamis.Hook{tamis.HookTick}), true)
	hooked = tamis.Filter{}
	if _, err := Configure("{}"); err == nil || !strings.Contains(err.Error(), "no hook") {
		t.Error(err)
	}
}

func TestMetricsAddUp(t *testing.T) {
	tamis.Configure(func(_ struct{}, setup *tamis.Setup) (tamis.Filter, error) {
		hits, err := setup.Counter("hits_total", "Hits", "path")
		if _, bad := setup.Gauge("no name", ""); bad == nil || err != nil {
			t.Error(bad, err)
		}
		keys, found := setup.Input("keys")
		same(t, "input", string(keys), "secret")
		same(t, "input", found, true)
		return tamis.Filter{OnRequest: func(request *tamis.Request) tamis.Verdict {
			hits.Add(2, request.Path())
			return nil
		}}, nil
	})
	host, err := ConfigureWith("{}", map[string][]byte{"keys": []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	host.Exchange(Exchange{Target: "/a"})
	host.Exchange(Exchange{Target: "/a"})
	same(t, "hits", host.Metrics["hits_total /a"], 4)
}
