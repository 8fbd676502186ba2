// A filter for proxy-wasm in plain Go, without an SDK: it tells its configuration and the time in fields of the answer, writes
// to standard output, and changes the body of a request. Built with GOOS=wasip1 GOARCH=wasm -buildmode=c-shared.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, message unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, most uint32, data unsafe.Pointer, size unsafe.Pointer) uint32

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(buffer, start, length uint32, data unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, data unsafe.Pointer, size unsafe.Pointer) uint32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func proxyRemoveHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32) uint32

const (
	requestHeaders  = 0
	responseHeaders = 2
	requestBody     = 0
	configuration   = 7
	proceed         = 0
	pause           = 1
)

// What the host has been given room for, until it is taken.
var given = map[uint32][]byte{}

var configured string

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	room := make([]byte, size)
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(room))))
	given[at] = room
	return at
}

func taken(at, size uint32) string {
	if size == 0 {
		return ""
	}
	bytes := given[at]
	delete(given, at)
	return string(bytes[:size])
}

func text(value string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(value)), uint32(len(value))
}

func buffer(kind, size uint32) string {
	var at, length uint32
	if proxyGetBufferBytes(kind, 0, size, unsafe.Pointer(&at), unsafe.Pointer(&length)) != 0 {
		return ""
	}
	return taken(at, length)
}

func field(kind uint32, name string) string {
	key, keySize := text(name)
	var at, length uint32
	if proxyGetHeaderMapValue(kind, key, keySize, unsafe.Pointer(&at), unsafe.Pointer(&length)) != 0 {
		return ""
	}
	return taken(at, length)
}

func set(kind uint32, name, content string) {
	key, keySize := text(name)
	value, valueSize := text(content)
	proxyReplaceHeaderMapValue(kind, key, keySize, value, valueSize)
}

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, parent uint32) {}

//go:wasmexport proxy_on_vm_start
func onVMStart(context, size uint32) uint32 { return 1 }

//go:wasmexport proxy_on_configure
func onConfigure(context, size uint32) uint32 {
	configured = buffer(configuration, size)
	fmt.Println("configured in", os.Getenv("REGION"))
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, end uint32) uint32 {
	set(requestHeaders, "x-go", strings.ToUpper(field(requestHeaders, "x-word")))
	key, keySize := text("content-length")
	proxyRemoveHeaderMapValue(requestHeaders, key, keySize)
	return proceed
}

//go:wasmexport proxy_on_request_body
func onRequestBody(context, size, end uint32) uint32 {
	if end == 0 {
		return pause
	}
	changed := strings.ToUpper(buffer(requestBody, size))
	data, length := text(changed)
	proxySetBufferBytes(requestBody, 0, size, data, length)
	return proceed
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, count, end uint32) uint32 {
	message, size := text("answered")
	proxyLog(2, message, size)
	set(responseHeaders, "x-config", configured)
	set(responseHeaders, "x-year", fmt.Sprint(time.Now().Year()))
	set(responseHeaders, "x-region", os.Getenv("REGION"))
	return proceed
}

func main() {}
