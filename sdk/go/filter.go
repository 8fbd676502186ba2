// Package tamis is for writing filters of the Tamis proxy in Go.
//
//	func init() { tamis.Configure(configure) }
//
//	func configure(config struct{ Key string }, setup *tamis.Setup) (tamis.Filter, error) {
//		return tamis.Filter{OnRequest: func(request *tamis.Request) tamis.Verdict {
//			if key, _ := request.Header("x-key"); key == config.Key {
//				return tamis.Next
//			}
//			return tamis.NewReply(403).Text("no key, no entry\n")
//		}}, nil
//	}
//
//	func main() {}
//
// A filter is built with plain Go: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
//
// An instance works for one exchange at a time, and each hook may run in another instance: what one hook wants to tell the next
// goes into notes, unless the filter calls [Setup.KeepState]. Whatever waits (a call, a body, [Sleep]) looks as if it did not;
// the proxy serves others meanwhile.
package tamis

import "tamis-sdk/internal/abi"

// Filter has the hooks that the proxy is to call; those that are nil cost nothing. One at least must be there.
type Filter struct {
	// OnRequest is called once an exchange, when the request's head has come; not again for a retry.
	OnRequest func(*Request) Verdict
	// OnRequestChunk is called for each piece of the request's body, on its way upstream. The head has gone on by now.
	OnRequestChunk func(*Request, Chunk) ChunkVerdict
	// OnResponse is called once an exchange, when the response's head has come, whoever made it.
	OnResponse func(*Response) Verdict
	// OnResponseChunk is called for each piece of the response's body, on its way to the client.
	OnResponseChunk func(*Response, Chunk) ChunkVerdict
	// OnRequestTrailers is called when the request's trailers have come.
	OnRequestTrailers func(*Request)
	// OnResponseTrailers is called when the response's trailers have come.
	OnResponseTrailers func(*Response)
	// OnComplete is called after the client has its answer, or has gone. Nobody waits for it.
	OnComplete func(*Outcome)
	// OnTick is called every [Setup.TickEvery], once a process, never overlapping, in an instance of its own.
	OnTick func()
}

// Verdict is what a request or response hook decides: [Next], [Reset], or a *[Reply]. nil is Next.
type Verdict interface{ verdict() uint32 }

// ChunkVerdict is what a chunk hook decides about its piece: [Keep], [Replace] or [Reset]. nil is Keep.
type ChunkVerdict interface{ chunkVerdict() uint32 }

type plainVerdict uint32

const (
	// Next lets the exchange go on: to the next filter, upstream, or to the client.
	Next plainVerdict = 0
)

func (v plainVerdict) verdict() uint32 { return uint32(v) }

type reset struct{}

func (reset) verdict() uint32      { return 2 }
func (reset) chunkVerdict() uint32 { return 2 }

// Reset ends the exchange without an answer: both sides see one that was cut off.
var Reset reset

type chunkVerdict struct {
	replaced bool
	bytes    []byte
}

// Keep lets the bytes go on as they came.
var Keep ChunkVerdict = chunkVerdict{}

// Replace lets these bytes go on in the place of those that came; none is fine.
func Replace(bytes []byte) ChunkVerdict { return chunkVerdict{replaced: true, bytes: bytes} }

func (v chunkVerdict) chunkVerdict() uint32 {
	if !v.replaced {
		return 0
	}
	abi.ChunkReplace(plain(v.bytes))
	return 1
}

// Chunk is a piece of a body.
type Chunk struct {
	Bytes []byte
	// End says that none follows; it is said once, with an empty piece where it is learned late.
	End bool
}

// Refused is why the proxy did not do something.
type Refused string

func (r Refused) Error() string { return string(r) }

// Field is one header or trailer field. Values are bytes, not necessarily UTF-8.
type Field struct{ Name, Value string }
