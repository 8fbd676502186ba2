package tamis

import (
	"strings"
	"time"
	"unsafe"

	"tamis-sdk/internal/abi"
)

// Request is the request of the exchange in hand, as the filters before this one left it. It stays readable in every later
// phase; what is written after the request phase no longer goes upstream, but later hooks see it.
type Request struct{ inHand }

// Method is case-sensitive, as it was sent.
func (r *Request) Method() string { return text(abi.RequestMethod) }

// Scheme is "http" or "https", as the client spoke it, or as a trusted hop says that it did.
func (r *Request) Scheme() string { return text(abi.RequestScheme) }

// Authority is host and port as the client named them; empty if it named none.
func (r *Request) Authority() string { return text(abi.RequestAuthority) }

// Path is the path without the query, dot segments resolved, percent-escapes kept.
func (r *Request) Path() string { return text(abi.RequestPath) }

// Query is what follows the first "?"; there is none without one.
func (r *Request) Query() (query string, found bool) { return optional(abi.RequestQuery) }

// ID is the request id, the same in logs and upstream.
func (r *Request) ID() string { return text(abi.RequestId) }

// DeadlineLeft is what is left of the time that the exchange may take; there is none if it may take any.
func (r *Request) DeadlineLeft() (left time.Duration, found bool) {
	results := enter()
	defer leave()
	abi.RequestDeadlineLeftMs(results.at())
	return lasting(results.long(8)), results.byte(0) == 1
}

// SetMethod is refused if it is no token, or CONNECT.
func (r *Request) SetMethod(method string) error { return refused(abi.RequestSetMethod, method) }

// SetAuthority sets host and port.
func (r *Request) SetAuthority(authority string) error {
	return refused(abi.RequestSetAuthority, authority)
}

// SetTarget sets path and query in one, at most 8 KiB. It is refused if it does not begin with "/" (or is not exactly "*").
func (r *Request) SetTarget(pathAndQuery string) error {
	return refused(abi.RequestSetTarget, pathAndQuery)
}

// Header has all values of the name joined by ", " (cookie: by "; "). Where one of several values decides about access, use
// Headers: who joins values cannot tell them apart.
func (r *Request) Header(name string) (value string, found bool) {
	return named(abi.RequestHeader, name)
}

// Headers has each value of the name, in the order in which they came.
func (r *Request) Headers(name string) []string { return namedAll(abi.RequestHeaders, name) }

// AllHeaders has all fields, names in lower case: cheaper than many calls of Header.
func (r *Request) AllHeaders() []Field { return unpack(abi.RequestAllHeaders) }

// SetHeader puts one value in the place of all values of the name. It is refused if HTTP does not allow the name or the value,
// or if the field is part of the framing, which is the proxy's; `host` is set by SetAuthority.
func (r *Request) SetHeader(name, value string) error { return set(abi.RequestSetHeader, name, value) }

// AddHeader puts one more value after those that are there.
func (r *Request) AddHeader(name, value string) error { return set(abi.RequestAddHeader, name, value) }

// RemoveHeader takes away all values of the name.
func (r *Request) RemoveHeader(name string) { abi.RequestRemoveHeader(clean(name)) }

// Trailer is a trailer; there is none outside of the trailers hook.
func (r *Request) Trailer(name string) (value string, found bool) {
	return named(abi.RequestTrailer, name)
}

// SetTrailer is refused outside of the trailers hook, and as in SetHeader.
func (r *Request) SetTrailer(name, value string) error {
	return set(abi.RequestSetTrailer, name, value)
}

// ReadBody waits for the whole body, at most limit bytes. It still goes upstream, unless it is replaced. Only in the request
// hook: later a part of it has gone on. The error is a [BodyError].
func (r *Request) ReadBody(limit uint32) ([]byte, error) { return readBody(abi.RequestReadBody, limit) }

// SetBody sends this body in the place of the request's own, framed anew.
func (r *Request) SetBody(body []byte) { abi.RequestSetBody(plain(body)) }

// Response is the response of the exchange in hand.
type Response struct{ inHand }

// Request is the one that it answers.
func (r *Response) Request() *Request { return &Request{} }

// Status is three digits.
func (r *Response) Status() int { return int(abi.ResponseStatus()) }

// SetStatus is refused outside of 200 to 599.
func (r *Response) SetStatus(status int) error {
	results := enter()
	defer leave()
	abi.ResponseSetStatus(statusOf(status), results.at())
	return results.refused()
}

// Origin is "upstream" if the upstream answered, else the word that the access log has for an answer of the proxy or of a
// filter.
func (r *Response) Origin() string { return text(abi.ResponseOrigin) }

// Header has all values of the name joined by ", ". Use Headers for set-cookie, whose values cannot be joined.
func (r *Response) Header(name string) (value string, found bool) {
	return named(abi.ResponseHeader, name)
}

// Headers has each value of the name, in the order in which they came.
func (r *Response) Headers(name string) []string { return namedAll(abi.ResponseHeaders, name) }

// AllHeaders has all fields, names in lower case.
func (r *Response) AllHeaders() []Field { return unpack(abi.ResponseAllHeaders) }

// SetHeader puts one value in the place of all values of the name; refused as [Request.SetHeader] is.
func (r *Response) SetHeader(name, value string) error {
	return set(abi.ResponseSetHeader, name, value)
}

// AddHeader puts one more value after those that are there.
func (r *Response) AddHeader(name, value string) error {
	return set(abi.ResponseAddHeader, name, value)
}

// RemoveHeader takes away all values of the name.
func (r *Response) RemoveHeader(name string) { abi.ResponseRemoveHeader(clean(name)) }

// Trailer is a trailer, grpc-status for one; there is none outside of the trailers hook.
func (r *Response) Trailer(name string) (value string, found bool) {
	return named(abi.ResponseTrailer, name)
}

// SetTrailer is refused outside of the trailers hook, and as in SetHeader.
func (r *Response) SetTrailer(name, value string) error {
	return set(abi.ResponseSetTrailer, name, value)
}

// ReadBody waits for the whole body, at most limit bytes. It still goes to the client, unless it is replaced. The error is a
// [BodyError].
func (r *Response) ReadBody(limit uint32) ([]byte, error) {
	return readBody(abi.ResponseReadBody, limit)
}

// SetBody sends this body in the place of the response's own, framed anew.
func (r *Response) SetBody(body []byte) { abi.ResponseSetBody(plain(body)) }

// BodyError is why a body could not be read.
type BodyError string

const (
	// BodyTooLarge is longer than the limit, or than the proxy allows.
	BodyTooLarge BodyError = "too-large"
	// BodyPeerGone: who sends it went away.
	BodyPeerGone BodyError = "peer-gone"
	// BodyAlreadyStreamed: a part of it has gone on already.
	BodyAlreadyStreamed BodyError = "already-streamed"
)

func (e BodyError) Error() string { return "the body cannot be read: " + string(e) }

func readBody(read func(uint32, unsafe.Pointer), limit uint32) ([]byte, error) {
	// The proxy reads no longer bodies than this unless it is told to, in its configuration.
	abi.Reserve(int(min(limit, 16<<20)))
	results := enter()
	defer leave()
	read(limit, results.at())
	if results.byte(0) == 1 {
		return nil, []BodyError{BodyTooLarge, BodyPeerGone, BodyAlreadyStreamed}[results.byte(4)]
	}
	return results.bytes(4), nil
}

// inHand is what every part of an exchange leads to.
type inHand struct{}

// Connection is who is speaking, and over what.
func (inHand) Connection() Connection { return Connection{} }

// Destination is where the request goes.
func (inHand) Destination() Destination { return Destination{} }

// Notes are what filters tell each other about this exchange.
func (inHand) Notes() Notes { return Notes{} }

// Notes are what filters tell each other about the exchange in hand; they are also found in access logs and traces.
type Notes struct{}

// Get is the note of that key.
func (Notes) Get(key string) (value string, found bool) { return named(abi.NotesGet, key) }

// Set takes the place of an earlier value. The proxy bounds how many notes there are and how long.
func (Notes) Set(key, value string) { abi.NotesSet(clean(key), clean(value)) }

func statusOf(status int) uint32 {
	if status < 0 || status > 65535 {
		return 65535
	}
	return uint32(status)
}

// What follows calls functions of one shape.

func text(call func(unsafe.Pointer)) string {
	results := enter()
	defer leave()
	call(results.at())
	return results.text(0)
}

func optional(call func(unsafe.Pointer)) (string, bool) {
	results := enter()
	defer leave()
	call(results.at())
	return results.optional(0)
}

func named(call func(string, unsafe.Pointer), name string) (string, bool) {
	results := enter()
	defer leave()
	call(clean(name), results.at())
	return results.optional(0)
}

func namedAll(call func(string, unsafe.Pointer), name string) []string {
	results := enter()
	defer leave()
	call(clean(name), results.at())
	return results.list(0)
}

func refused(call func(string, unsafe.Pointer), value string) error {
	results := enter()
	defer leave()
	call(clean(value), results.at())
	return results.refused()
}

func set(call func(string, string, unsafe.Pointer), name, value string) error {
	results := enter()
	defer leave()
	call(clean(name), value, results.at())
	return results.refused()
}

// unpack reads the packed form of all fields: their count, then lengths and bytes of names and values.
func unpack(call func(unsafe.Pointer)) []Field {
	all := text(call)
	next := func() uint32 {
		number := uint32(all[0]) | uint32(all[1])<<8 | uint32(all[2])<<16 | uint32(all[3])<<24
		all = all[4:]
		return number
	}
	piece := func() string {
		length := next()
		piece := all[:length]
		all = all[length:]
		return strings.Clone(piece)
	}
	fields := make([]Field, next())
	for index := range fields {
		name := piece()
		fields[index] = Field{Name: name, Value: piece()}
	}
	return fields
}
