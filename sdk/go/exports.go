//go:build wasip1

package tamis

import (
	"fmt"
	"os"
	"runtime/debug"
	"unsafe"
)

// filter is what configure returned.
var filter Filter

// configured is what the proxy reads when configure is over: whether it was refused, and why.
var (
	configured area
	reason     []byte
)

// What has arguments begins with arrive, before any other goroutine may run, which is where the stack may grow: hence nosplit, and
// the work in a function of its own.
//
//go:wasmexport tamis:filter/configure@0.1.0#configure
//go:nosplit
func exportConfigure(config, configLength, inputs, inputsLength uint32) unsafe.Pointer {
	arrive()
	return onConfigure(config, configLength, inputs, inputsLength)
}

//go:noinline
func onConfigure(config, configLength, inputs, inputsLength uint32) unsafe.Pointer {
	defer told()
	text := string(memory(config, configLength))
	given := make([]Field, inputsLength)
	for index := range given {
		input := record(inputs + uint32(index)*16)
		given[index] = Field{Name: input.text(0), Value: input.text(8)}
	}
	leave()
	made, err := configure([]byte(text), &Setup{inputs: given})
	configured = area{}
	if err != nil {
		reason = []byte(clean(err.Error()))
		if len(reason) == 0 {
			reason = []byte("refused without a reason")
		}
		configured[0] = 1 | uint64(uintptr(unsafe.Pointer(&reason[0])))<<32
		configured[1] = uint64(len(reason))
	}
	filter = made
	return unsafe.Pointer(&configured)
}

//go:wasmexport tamis:filter/request-hook@0.1.0#on-request
func exportRequest() uint32 {
	defer told()
	return verdictOf(filter.OnRequest(&Request{}))
}

//go:wasmexport tamis:filter/request-chunk-hook@0.1.0#on-request-chunk
//go:nosplit
func exportRequestChunk(bytes, length, end uint32) uint32 {
	arrive()
	return onRequestChunk(bytes, length, end)
}

//go:noinline
func onRequestChunk(bytes, length, end uint32) uint32 {
	defer told()
	return chunkVerdictOf(filter.OnRequestChunk(&Request{}, chunk(bytes, length, end)))
}

//go:wasmexport tamis:filter/response-hook@0.1.0#on-response
func exportResponse() uint32 {
	defer told()
	return verdictOf(filter.OnResponse(&Response{}))
}

//go:wasmexport tamis:filter/response-chunk-hook@0.1.0#on-response-chunk
//go:nosplit
func exportResponseChunk(bytes, length, end uint32) uint32 {
	arrive()
	return onResponseChunk(bytes, length, end)
}

//go:noinline
func onResponseChunk(bytes, length, end uint32) uint32 {
	defer told()
	return chunkVerdictOf(filter.OnResponseChunk(&Response{}, chunk(bytes, length, end)))
}

//go:wasmexport tamis:filter/trailers-hook@0.1.0#on-request-trailers
func exportRequestTrailers() {
	defer told()
	if filter.OnRequestTrailers != nil {
		filter.OnRequestTrailers(&Request{})
	}
}

//go:wasmexport tamis:filter/trailers-hook@0.1.0#on-response-trailers
func exportResponseTrailers() {
	defer told()
	if filter.OnResponseTrailers != nil {
		filter.OnResponseTrailers(&Response{})
	}
}

//go:wasmexport tamis:filter/complete-hook@0.1.0#on-complete
func exportComplete() {
	defer told()
	filter.OnComplete(&Outcome{})
}

//go:wasmexport tamis:filter/tick-hook@0.1.0#on-tick
func exportTick() {
	defer told()
	filter.OnTick()
}

// arrive keeps arguments from being given back by calls of other goroutines, until leave.
//
//go:nosplit
func arrive() {
	open++
}

// chunk copies the piece, which the proxy put into its room.
func chunk(bytes, length, end uint32) Chunk {
	copied := append([]byte{}, memory(bytes, length)...)
	leave()
	return Chunk{Bytes: copied, End: end != 0}
}

func verdictOf(verdict Verdict) uint32 {
	if verdict == nil {
		return uint32(Next)
	}
	return verdict.verdict()
}

func chunkVerdictOf(verdict ChunkVerdict) uint32 {
	if verdict == nil {
		verdict = Keep
	}
	return verdict.chunkVerdict()
}

// told writes a panic into the log, as one line, and ends the instance: what it has in memory may be half done.
func told() {
	if cause := recover(); cause != nil {
		log(Error, fmt.Sprintf("panic: %v\n%s", cause, debug.Stack()))
		os.Exit(2)
	}
}
