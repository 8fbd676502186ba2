package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tamis "tamis-sdk"
)

// at is what the hook was given in which steps are taken.
type at struct {
	request  *tamis.Request
	response *tamis.Response
	outcome  *tamis.Outcome
}

// taken is what the steps of a hook came to.
type taken struct {
	lines []string
	reply *tamis.Reply
	reset bool
}

// verdict is what the hook returns. A reply carries the lines of all hooks so far.
func (t *taken) verdict(notes tamis.Notes) tamis.Verdict {
	if t.reset {
		return tamis.Reset
	}
	if t.reply == nil {
		return tamis.Next
	}
	for _, line := range lines(notes) {
		t.reply.Header("x-did", line)
	}
	return t.reply
}

// take takes one step and writes its line.
func (t *taken) take(g *guest, step string, at *at) {
	w := wordsOf(step)
	subject, function, _ := strings.Cut(w[0], ".")
	var result string
	switch subject {
	case "request":
		result = request(w, function, at.request)
	case "response":
		result = response(w, function, at.response)
	case "outcome":
		result = outcome(w, function, at.outcome)
	case "connection":
		result = connection(function, at.request.Connection())
	case "destination":
		result = destination(w, function, at.request.Destination())
	case "notes":
		if notes := at.request.Notes(); function == "get" {
			result = option(notes.Get(w[1]))
		} else {
			notes.Set(w[1], w[2])
			result = "ok"
		}
	case "http":
		result = call(w, function)
	case "store":
		result = store(w, function)
	case "quota":
		result = quota(w)
	case "metrics":
		result = g.count(w, function)
	case "log", "clock", "entropy":
		result = system(w)
	default:
		result = t.own(g, w)
	}
	t.lines = append(t.lines, w[0]+" "+result)
}

func (t *taken) own(g *guest, w words) string {
	switch w[0] {
	case "config":
		return value(g.greeting)
	case "input":
		content, found := g.inputs[w[1]]
		return option(string(content), found)
	case "remember":
		g.remembered = &w[1]
		return "ok"
	case "recall":
		if g.remembered == nil {
			return "none"
		}
		return value(*g.remembered)
	case "reply":
		reply := tamis.NewReply(int(w.number(1))).Body([]byte(w[2]))
		for _, field := range w.pairs(3) {
			reply.Header(field.Name, field.Value)
		}
		return t.replied(reply)
	case "reply-grpc":
		return t.replied(tamis.NewGRPCReply(int(w.number(1)), w[2]))
	case "reset":
		t.reset = true
		return "ok"
	case "throw":
		panic(w[1])
	}
	panic("no such step: " + w[0])
}

// replied forgets a reply that is refused.
func (t *taken) replied(reply *tamis.Reply) string {
	err := reply.Check()
	if err == nil {
		t.reply = reply
	}
	return done(err)
}

// head is what requests and responses have in common.
type head interface {
	Header(name string) (string, bool)
	Headers(name string) []string
	AllHeaders() []tamis.Field
	SetHeader(name, value string) error
	AddHeader(name, value string) error
	RemoveHeader(name string)
	Trailer(name string) (string, bool)
	SetTrailer(name, value string) error
	ReadBody(limit uint32) ([]byte, error)
	SetBody(body []byte)
}

func ofHead(w words, function string, head head) string {
	switch function {
	case "header":
		return option(head.Header(w[1]))
	case "headers":
		return values(head.Headers(w[1]))
	case "all-headers":
		return list(fields(head.AllHeaders()))
	case "set-header":
		return done(head.SetHeader(w[1], w[2]))
	case "add-header":
		return done(head.AddHeader(w[1], w[2]))
	case "remove-header":
		head.RemoveHeader(w[1])
		return "ok"
	case "trailer":
		return option(head.Trailer(w[1]))
	case "set-trailer":
		return done(head.SetTrailer(w[1], w[2]))
	case "read-body":
		body, err := head.ReadBody(uint32(w.number(1)))
		return result(value(string(body)), err)
	case "read-body-length":
		body, err := head.ReadBody(uint32(w.number(1)))
		return result(strconv.Itoa(len(body)), err)
	case "set-body":
		head.SetBody([]byte(w[1]))
		return "ok"
	}
	panic("no such step: " + w[0])
}

func request(w words, function string, request *tamis.Request) string {
	switch function {
	case "method":
		return value(request.Method())
	case "scheme":
		return value(request.Scheme())
	case "authority":
		return value(request.Authority())
	case "path":
		return value(request.Path())
	case "query":
		return option(request.Query())
	case "id":
		return value(request.ID())
	case "deadline-left":
		left, found := request.DeadlineLeft()
		if !found {
			return "none"
		}
		return strconv.FormatInt(left.Milliseconds(), 10)
	case "set-method":
		return done(request.SetMethod(w[1]))
	case "set-authority":
		return done(request.SetAuthority(w[1]))
	case "set-target":
		return done(request.SetTarget(w[1]))
	}
	return ofHead(w, function, request)
}

func response(w words, function string, response *tamis.Response) string {
	switch function {
	case "status":
		return strconv.Itoa(response.Status())
	case "set-status":
		return done(response.SetStatus(int(w.number(1))))
	case "origin":
		return value(response.Origin())
	}
	return ofHead(w, function, response)
}

func outcome(w words, function string, outcome *tamis.Outcome) string {
	switch function {
	case "status":
		return strconv.Itoa(outcome.Status())
	case "request-bytes":
		return strconv.FormatUint(outcome.RequestBytes(), 10)
	case "response-bytes":
		return strconv.FormatUint(outcome.ResponseBytes(), 10)
	case "duration":
		return strconv.FormatInt(outcome.Duration().Microseconds(), 10)
	case "upstream":
		return option(outcome.Upstream())
	case "attempts":
		return strconv.FormatUint(uint64(outcome.Attempts()), 10)
	case "failure":
		return option(outcome.Failure())
	case "mirrored":
		result, found := outcome.Mirrored(uint32(w.number(1)))
		if !found {
			return "none"
		}
		return strconv.Itoa(result.Status)
	case "mirrored-headers":
		return values(outcome.MirroredHeaders(uint32(w.number(1)), w[2]))
	}
	panic("no such step: " + w[0])
}

func connection(function string, connection tamis.Connection) string {
	switch function {
	case "source-address":
		return value(connection.Source())
	case "peer-address":
		return value(connection.Peer())
	case "local-address":
		return value(connection.Local())
	case "original-destination":
		return option(connection.OriginalDestination())
	case "trusted":
		return strconv.FormatBool(connection.Trusted())
	case "listener":
		return value(connection.Listener())
	case "protocol":
		return value(connection.Protocol())
	case "tls-version":
		return option(connection.TLSVersion())
	case "server-name":
		return option(connection.ServerName())
	case "client-identities":
		return values(connection.ClientIdentities())
	case "client-fingerprint":
		return option(connection.ClientFingerprint())
	}
	panic("no such step: " + function)
}

func destination(w words, function string, destination tamis.Destination) string {
	switch function {
	case "cluster":
		return option(destination.Cluster())
	case "set-cluster":
		return done(destination.SetCluster(w[1]))
	case "set-fallback":
		return done(destination.SetFallback(w[1]))
	case "set-endpoint":
		return done(destination.SetEndpoint(w[1]))
	case "route":
		return option(destination.Route())
	case "set-route":
		destination.SetRoute(w[1])
	case "set-chain":
		return done(destination.SetChain(w[1]))
	case "set-subset":
		destination.SetSubset(w.pairs(1)...)
	case "set-hash-key":
		destination.SetHashKey([]byte(w[1]))
	case "set-timeout":
		destination.SetTimeout(w.time(1))
	case "set-response-rate":
		rate := uint64(0)
		if w[1] != "-" {
			rate = uint64(w.number(1))
		}
		destination.SetResponseRate(rate)
	case "set-retry":
		return done(destination.SetRetry(uint32(w.number(1)), w.time(2), w[3:]...))
	case "mirror":
		copy, err := destination.Mirror(w[1], uint32(w.number(2)), w.pairs(3)...)
		return result(strconv.FormatUint(uint64(copy), 10), err)
	default:
		panic("no such step: " + w[0])
	}
	return "ok"
}

func call(w words, function string) string {
	if function == "send-all" {
		var calls []tamis.Call
		for _, target := range w[2:] {
			calls = append(calls, tamis.Call{Cluster: w[1], Target: target})
		}
		var words []string
		for _, sent := range tamis.SendAll(calls...) {
			if sent.Err != nil {
				words = append(words, done(sent.Err))
			} else {
				words = append(words, strconv.Itoa(sent.Answer.Status))
			}
		}
		return list(words)
	}
	if function == "send-trailers" {
		answer, err := tamis.Call{Cluster: w[1], Method: "POST", Target: w[2], Body: []byte(w[3]), Trailers: w.pairs(4)}.Send()
		if err != nil {
			return done(err)
		}
		return list(append([]string{strconv.Itoa(answer.Status)}, fields(answer.Trailers)...))
	}
	call := tamis.Call{Cluster: w[1], Method: w[2], Target: w[3], Timeout: w.time(4), Body: []byte(w[6]), Fields: w.pairs(7)}
	if w[5] != "-" {
		call.Authority = w[5]
	}
	answer, err := call.Send()
	if err != nil {
		return done(err)
	}
	words := append([]string{strconv.Itoa(answer.Status)}, fields(answer.Fields)...)
	return list(append(words, value(string(answer.Body))))
}

func store(w words, function string) string {
	store, key := tamis.Store(w[1]), w[2]
	switch function {
	case "get":
		content, found, err := store.Get(key)
		return result(option(string(content), found), err)
	case "set":
		return done(store.Set(key, []byte(w[3]), w.time(4)))
	case "delete":
		return done(store.Delete(key))
	case "increment":
		sum, err := store.Increment(key, w.number(3), w.time(4))
		return result(strconv.FormatInt(sum, 10), err)
	case "compare-and-set":
		var expected []byte
		if w[3] != "-" {
			expected = []byte(w[3])
		}
		written, err := store.CompareAndSet(key, expected, []byte(w[4]), w.time(5))
		return result(strconv.FormatBool(written), err)
	}
	panic("no such step: " + w[0])
}

func quota(w words) string {
	kinds := map[string]tamis.QuotaKind{"rate": tamis.Rate, "calendar": tamis.Calendar, "concurrency": tamis.Concurrency}
	var asks []tamis.Ask
	for at := 2; at+5 < len(w); at += 6 {
		asks = append(asks, tamis.Ask{
			Key: w[at], Kind: kinds[w[at+1]], Limit: uint64(w.number(at + 2)), Window: w.time(at + 3),
			Burst: uint64(w.number(at + 4)), Cost: uint64(w.number(at + 5)),
		})
	}
	decisions, err := tamis.Store(w[1]).Take(asks...)
	var words []string
	for _, decision := range decisions {
		allowed, when := "refused", "later"
		if decision.Allowed {
			allowed = "allowed"
		}
		if decision.RetryAfter == 0 {
			when = "now"
		}
		words = append(words, fmt.Sprintf("%s/%d/%s", allowed, decision.Remaining, when))
	}
	return result(list(words), err)
}

func (g *guest) count(w words, function string) string {
	number, err := strconv.ParseFloat(w[len(w)-1], 64)
	if err != nil {
		panic(err)
	}
	switch function {
	case "count":
		g.steps.Add(number, w[1])
	case "level":
		g.level.Set(number)
	case "size":
		g.size.Observe(number)
	}
	return "ok"
}

func system(w words) string {
	severities := map[string]tamis.Severity{
		"trace": tamis.Trace, "debug": tamis.Debug, "info": tamis.Info, "warn": tamis.Warn, "error": tamis.Error,
	}
	switch w[0] {
	case "log.write":
		tamis.Logf(severities[w[1]], "%s", w[2])
		return "ok"
	case "log.enabled":
		return strconv.FormatBool(tamis.LogEnabled(severities[w[1]]))
	case "clock.now":
		return strconv.FormatInt(tamis.Now().UnixNano(), 10)
	case "clock.monotonic":
		return strconv.FormatInt(int64(tamis.Monotonic()/time.Nanosecond), 10)
	case "clock.sleep":
		tamis.Sleep(w.time(1))
		return "ok"
	case "entropy.next":
		return strconv.FormatUint(tamis.Random(), 10)
	case "entropy.bytes":
		return value(string(tamis.RandomBytes(uint32(w.number(1)))))
	}
	panic("no such step: " + w[0])
}
