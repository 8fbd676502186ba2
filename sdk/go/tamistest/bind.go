//go:build !wasip1

package tamistest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	tamis "tamis-sdk"
	"tamis-sdk/internal/abi"
)

type pointer = unsafe.Pointer

type metric struct {
	name string
	kind uint32
}

var (
	began   = time.Now()
	plain   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	hooks   = []tamis.Hook{tamis.HookRequest, tamis.HookRequestChunk, tamis.HookResponse, tamis.HookResponseChunk, tamis.HookTrailers, tamis.HookComplete, tamis.HookTick}
	callErr = []tamis.CallError{
		tamis.CallNotAllowed, tamis.CallNoSuchCluster, tamis.CallNoHealthyEndpoint, tamis.CallTimeout, tamis.CallReset,
		tamis.CallTooLarge, tamis.CallProtocol,
	}
)

// bind puts what is there without an exchange into the place of the proxy.
func (h *Host) bind() {
	abi.SetupWant = func(hook string, at pointer) {
		if !slices.Contains(hooks, tamis.Hook(hook)) {
			results{at}.done(fmt.Errorf("there is no hook `%s`", hook))
			return
		}
		h.Wanted = append(h.Wanted, tamis.Hook(strings.Clone(hook)))
		results{at}.done(nil)
	}
	abi.SetupKeepState = func() { h.KeepsState = true }
	abi.SetupTickEveryMs = func(uint64) {}
	abi.LogEnabled = func(uint32) uint32 { return 1 }
	abi.LogWrite = func(severity uint32, message string) {
		h.Log = append(h.Log, Line{tamis.Severity(severity), strings.Clone(message)})
	}
	abi.ClockNowNs = func() uint64 { return uint64(time.Now().UnixNano()) }
	abi.ClockMonotonicNs = func() uint64 { return uint64(time.Since(began)) }
	abi.ClockSleepMs = func(uint32) {}
	abi.EntropyNext = func() uint64 { return binary.LittleEndian.Uint64(random(8)) }
	abi.EntropyBytes = func(count uint32, at pointer) { results{at}.text(0, string(random(count))) }
	abi.MetricsDeclare = func(name, _ string, kind uint32, _ string, at pointer) {
		if !plain.MatchString(name) {
			results{at}.done(fmt.Errorf("`%s` is no name for a metric", name))
			return
		}
		h.metrics = append(h.metrics, metric{strings.Clone(name), kind})
		results{at}.byte(0, 0)
		results{at}.word(4, uint32(len(h.metrics)-1))
	}
	abi.MetricsObserve = func(id uint32, labels string, value float64) {
		one := h.metrics[id]
		series := strings.Join(append([]string{one.name}, take(labels).texts()...), " ")
		switch one.kind {
		case 1:
			h.Metrics[series] = value
		case 2:
			h.Metrics[series]++
		default:
			h.Metrics[series] += value
		}
	}
	h.bindStores()
}

func (h *Host) bindStores() {
	values := func(store string) map[string][]byte {
		if h.Stores[store] == nil {
			h.Stores[strings.Clone(store)] = map[string][]byte{}
		}
		return h.Stores[store]
	}
	abi.StoreGet = func(store, key string, at pointer) {
		value, found := values(store)[key]
		results{at}.byte(0, 0)
		results{at}.some(4, string(value), found)
	}
	abi.StoreSet = func(store, key, value string, _ uint32, _ uint64, at pointer) {
		values(store)[strings.Clone(key)] = []byte(value)
		results{at}.byte(0, 0)
	}
	abi.StoreCompareAndSet = func(store, key string, expects uint32, expected, value string, _ uint32, _ uint64, at pointer) {
		present, found := values(store)[key]
		same := found == (expects == 1) && (!found || string(present) == expected)
		if same {
			values(store)[strings.Clone(key)] = []byte(value)
		}
		results{at}.byte(0, 0)
		results{at}.byte(1, flag(same))
	}
	abi.StoreDelete = func(store, key string, at pointer) {
		delete(values(store), key)
		results{at}.byte(0, 0)
	}
	abi.StoreIncrement = func(store, key string, by uint64, _ uint32, _ uint64, at pointer) {
		sum := int64(0)
		if present, found := values(store)[key]; found {
			number, err := strconv.ParseInt(string(present), 10, 64)
			if err != nil {
				results{at}.byte(0, 1)
				results{at}.byte(8, 1)
				return
			}
			sum = number
		}
		sum += int64(by)
		values(store)[strings.Clone(key)] = strconv.AppendInt(nil, sum, 10)
		results{at}.byte(0, 0)
		results{at}.long(8, uint64(sum))
	}
}

// hand is one exchange in hand.
type hand struct {
	method, target, authority, cluster string
	request, response                  *message
	status                             int
	reply                              struct {
		status  int
		message *message
	}
	calls func(tamis.Call) (Answer, error)
	notes map[string]string
	said  map[string][]string
}

func (h *hand) answer(given Answer) {
	h.status, h.response = given.Status, newMessage(given.Header, given.Body)
	if h.status == 0 {
		h.status = http.StatusOK
	}
	abi.ResponseStatus = func() uint32 { return uint32(h.status) }
	abi.ResponseSetStatus = func(status uint32, at pointer) {
		err := checkedStatus(status)
		if err == nil {
			h.status = int(status)
		}
		results{at}.done(err)
	}
	abi.ResponseOrigin = says("upstream")
	bound := ofMessage(h.response)
	abi.ResponseHeader, abi.ResponseHeaders, abi.ResponseAllHeaders = bound.header, bound.headers, bound.all
	abi.ResponseSetHeader, abi.ResponseAddHeader, abi.ResponseRemoveHeader = bound.set, bound.add, bound.remove
	abi.ResponseReadBody, abi.ResponseSetBody = bound.read, bound.replace
}

func (h *hand) bind() {
	bound := ofMessage(h.request)
	abi.RequestHeader, abi.RequestHeaders, abi.RequestAllHeaders = bound.header, bound.headers, bound.all
	abi.RequestSetHeader, abi.RequestAddHeader, abi.RequestRemoveHeader = bound.set, bound.add, bound.remove
	abi.RequestReadBody, abi.RequestSetBody = bound.read, bound.replace
	abi.RequestMethod = func(at pointer) { results{at}.text(0, h.method) }
	abi.RequestScheme = says("http")
	abi.RequestAuthority = func(at pointer) { results{at}.text(0, h.authority) }
	abi.RequestPath = func(at pointer) {
		path, _, _ := strings.Cut(h.target, "?")
		results{at}.text(0, path)
	}
	abi.RequestQuery = func(at pointer) {
		_, query, found := strings.Cut(h.target, "?")
		results{at}.some(0, query, found)
	}
	abi.RequestId = says("00000000000000000000000000000001")
	abi.RequestDeadlineLeftMs = func(at pointer) { results{at}.byte(0, 0) }
	abi.RequestSetMethod = sets(&h.method, func(to string) bool { return isToken(to) && to != http.MethodConnect }, "a method")
	abi.RequestSetAuthority = sets(&h.authority, func(to string) bool { return to != "" && !strings.ContainsAny(to, " \t") }, "a host")
	abi.RequestSetTarget = sets(&h.target, func(to string) bool { return strings.HasPrefix(to, "/") }, "a path")
	abi.NotesGet = func(key string, at pointer) {
		value, found := h.notes[key]
		results{at}.some(0, value, found)
	}
	abi.NotesSet = func(key, value string) { h.notes[strings.Clone(key)] = strings.Clone(value) }
	abi.ReplySet = func(status uint32, fields, body string, at pointer) {
		made := &message{body: []byte(body)}
		err := checkedStatus(status)
		for _, field := range take(fields).fields() {
			err = errors.Join(err, made.add(field.Name, field.Value))
		}
		if err == nil {
			h.reply.status, h.reply.message = int(status), made
		}
		results{at}.done(err)
	}
	abi.ReplySetGrpc = func(status uint32, text string) {
		header := http.Header{"Content-Type": {"application/grpc"}, "Grpc-Status": {strconv.Itoa(int(status))}, "Grpc-Message": {text}}
		h.reply.status, h.reply.message = http.StatusOK, newMessage(header, "")
	}
	abi.ConnectionSourceAddress = says("192.0.2.1")
	abi.ConnectionPeerAddress = says("192.0.2.1:50000")
	abi.ConnectionLocalAddress = says("127.0.0.1:8080")
	abi.ConnectionListener = says("edge")
	abi.ConnectionProtocol = says("http/1.1")
	abi.ConnectionTrusted = func() uint32 { return 0 }
	nothing := func(at pointer) { results{at}.byte(0, 0) }
	abi.ConnectionOriginalDestination, abi.ConnectionTlsVersion = nothing, nothing
	abi.ConnectionServerName, abi.ConnectionClientFingerprint = nothing, nothing
	abi.ConnectionClientIdentities = func(at pointer) { results{at}.texts(0, nil) }
	h.bindDestination()
	h.bindCalls()
}

func (h *hand) bindDestination() {
	say := func(word string, values ...string) { h.said[word] = values }
	known := func(word string) func(string, pointer) {
		return func(name string, at pointer) {
			say(word, strings.Clone(name))
			results{at}.done(nil)
		}
	}
	abi.DestinationCluster = func(at pointer) { results{at}.some(0, h.cluster, true) }
	abi.DestinationSetCluster = func(name string, at pointer) {
		h.cluster = strings.Clone(name)
		results{at}.done(nil)
	}
	abi.DestinationRoute = func(at pointer) {
		route := h.said["set-route"]
		results{at}.some(0, strings.Join(route, ""), route != nil)
	}
	abi.DestinationSetRoute = func(name string) { say("set-route", strings.Clone(name)) }
	abi.DestinationSetFallback, abi.DestinationSetEndpoint = known("set-fallback"), known("set-endpoint")
	abi.DestinationSetChain = known("set-chain")
	abi.DestinationSetHashKey = func(key string) { say("set-hash-key", strings.Clone(key)) }
	abi.DestinationSetTimeoutMs = func(total uint32) { say("set-timeout", strconv.Itoa(int(total))) }
	abi.DestinationSetResponseRate = func(rate uint64) { say("set-response-rate", strconv.FormatUint(rate, 10)) }
	abi.DestinationSetSubset = func(labels string) {
		var all []string
		for _, label := range take(labels).fields() {
			all = append(all, label.Name+"="+label.Value)
		}
		say("set-subset", all...)
	}
	abi.DestinationSetRetry = func(attempts uint32, on string, _, _ uint32, at pointer) {
		say("set-retry", append([]string{strconv.Itoa(int(attempts))}, take(on).texts()...)...)
		results{at}.done(nil)
	}
	abi.DestinationMirror = func(cluster, _ string, _ uint32, at pointer) {
		copies := append(h.said["mirror"], strings.Clone(cluster))
		say("mirror", copies...)
		results{at}.byte(0, 0)
		results{at}.word(4, uint32(len(copies)-1))
	}
}

func (h *hand) bindCalls() {
	ask := func(call tamis.Call, at results) {
		if h.calls == nil {
			panic("the filter calls `" + call.Cluster + "`: give the exchange Calls that answers")
		}
		answer, err := h.calls(call)
		at.byte(0, flag(err != nil))
		if err != nil {
			var word tamis.CallError
			if !errors.As(err, &word) {
				panic("expected a tamis.CallError, found " + err.Error())
			}
			at.byte(4, uint8(slices.Index(callErr, word)))
			return
		}
		if answer.Status == 0 {
			answer.Status = http.StatusOK
		}
		at.short(4, uint16(answer.Status))
		at.fields(8, fieldsOf(answer.Header))
		at.text(16, answer.Body)
		at.fields(24, fieldsOf(answer.Trailers))
	}
	abi.HttpClientSend = func(cluster, method, target string, _ uint32, authority, fields, body, trailers string, ms uint32, at pointer) {
		ask(tamis.Call{
			Cluster: strings.Clone(cluster), Method: strings.Clone(method), Target: strings.Clone(target), Authority: strings.Clone(authority),
			Fields: take(fields).fields(), Body: []byte(body), Trailers: take(trailers).fields(), Timeout: time.Duration(ms) * time.Millisecond,
		}, results{at})
	}
	abi.HttpClientSendAll = func(requests string, at pointer) {
		all := take(requests)
		results{at}.list(0, all.count, 32, func(index int, record results) {
			from := uint32(index) * 64
			ask(tamis.Call{
				Cluster: all.text(from), Method: all.text(from + 8), Target: all.text(from + 16), Authority: all.text(from + 28),
				Fields: all.fieldsAt(from + 36), Body: []byte(all.text(from + 44)), Trailers: all.fieldsAt(from + 52),
				Timeout: time.Duration(all.word(from+60)) * time.Millisecond,
			}, record)
		})
	}
}

// bound are the functions that request and response have both.
type bound struct {
	header, headers func(string, pointer)
	all             func(pointer)
	set, add        func(string, string, pointer)
	remove          func(string)
	read            func(uint32, pointer)
	replace         func(string)
}

func ofMessage(m *message) bound {
	return bound{
		header: func(name string, at pointer) {
			value, found := m.joined(name)
			results{at}.some(0, value, found)
		},
		headers: func(name string, at pointer) { results{at}.texts(0, m.values(name)) },
		all:     func(at pointer) { results{at}.text(0, m.packed()) },
		set: func(name, value string, at pointer) {
			results{at}.done(m.set(strings.Clone(name), strings.Clone(value)))
		},
		add: func(name, value string, at pointer) {
			results{at}.done(m.add(strings.Clone(name), strings.Clone(value)))
		},
		remove: func(name string) { m.remove(name) },
		read: func(limit uint32, at pointer) {
			tooLong := len(m.body) > int(limit)
			results{at}.byte(0, flag(tooLong))
			if tooLong {
				results{at}.byte(4, 0)
			} else {
				results{at}.text(4, string(m.body))
			}
		},
		replace: func(body string) { m.body = []byte(body) },
	}
}

func says(text string) func(pointer) { return func(at pointer) { results{at}.text(0, text) } }

func sets(to *string, sound func(string) bool, what string) func(string, pointer) {
	return func(value string, at pointer) {
		if !sound(value) {
			results{at}.done(fmt.Errorf("expected %s, found %q", what, value))
			return
		}
		*to = strings.Clone(value)
		results{at}.done(nil)
	}
}

func random(count uint32) []byte {
	bytes := make([]byte, count)
	_, _ = rand.Read(bytes)
	return bytes
}
