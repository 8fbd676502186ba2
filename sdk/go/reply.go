package tamis

import "tamis-sdk/internal/abi"

// Reply is an answer of the filter's own: return it as the verdict. The proxy adds the framing and `date`.
type Reply struct {
	status  int
	fields  []Field
	body    []byte
	grpc    bool
	message string
}

// NewReply is an answer without fields or body.
func NewReply(status int) *Reply { return &Reply{status: status} }

// NewGRPCReply is the answer to a gRPC call: HTTP 200, and this code and message where gRPC clients look for them.
func NewGRPCReply(code int, message string) *Reply {
	return &Reply{status: code, message: message, grpc: true}
}

// Header adds one more field. Nothing happens to a gRPC reply, here and below.
func (r *Reply) Header(name, value string) *Reply {
	r.fields = append(r.fields, Field{Name: name, Value: value})
	return r
}

// Body sets the body.
func (r *Reply) Body(body []byte) *Reply {
	r.body = body
	return r
}

// Text sets a body of plain text, with its content-type.
func (r *Reply) Text(text string) *Reply {
	return r.Header("content-type", "text/plain; charset=utf-8").Body([]byte(text))
}

// JSON sets a body of JSON, with its content-type.
func (r *Reply) JSON(text []byte) *Reply {
	return r.Header("content-type", "application/json").Body(text)
}

// Check asks the proxy whether it would take this reply: not if the status is outside of 200 to 599, or if a field is one that
// [Response.SetHeader] refuses. Worth it where a part of it comes from outside; one that is returned and not taken is a failure
// of the filter.
func (r *Reply) Check() error {
	if r.grpc {
		abi.ReplySetGrpc(uint32(r.status), clean(r.message))
		return nil
	}
	results := enter()
	defer leave()
	abi.ReplySet(statusOf(r.status), packFields(r.fields), plain(r.body), results.at())
	return results.refused()
}

func (r *Reply) verdict() uint32 {
	if err := r.Check(); err != nil {
		panic("the reply is refused: " + err.Error())
	}
	return 1
}
