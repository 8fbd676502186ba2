package tamis

import (
	"time"

	"tamis-sdk/internal/abi"
)

// Connection is who is speaking, and over what. Addresses are IP addresses; IPv6 stands in brackets where a port follows.
type Connection struct{}

// Source is the client, as far as trusted hops tell, without a port.
func (Connection) Source() string { return text(abi.ConnectionSourceAddress) }

// Peer is the other end of the socket, with its port.
func (Connection) Peer() string { return text(abi.ConnectionPeerAddress) }

// Local is this end of the socket, with its port.
func (Connection) Local() string { return text(abi.ConnectionLocalAddress) }

// OriginalDestination is where the client wanted to go before its connection was redirected to the proxy.
func (Connection) OriginalDestination() (address string, found bool) {
	return optional(abi.ConnectionOriginalDestination)
}

// Trusted tells whether the peer is in one of the listener's trusted ranges.
func (Connection) Trusted() bool { return abi.ConnectionTrusted() != 0 }

// Listener is its name in the configuration.
func (Connection) Listener() string { return text(abi.ConnectionListener) }

// Protocol is what the client speaks: "http/1.0", "http/1.1", "h2" or "tcp".
func (Connection) Protocol() string { return text(abi.ConnectionProtocol) }

// TLSVersion is "TLSv1.2" or "TLSv1.3"; there is none without TLS.
func (Connection) TLSVersion() (version string, found bool) {
	return optional(abi.ConnectionTlsVersion)
}

// ServerName is what the client asked for in the TLS handshake.
func (Connection) ServerName() (name string, found bool) { return optional(abi.ConnectionServerName) }

// ClientIdentities are what the client's verified certificate says it is: SPIFFE ids and other URI names first, then DNS names.
func (Connection) ClientIdentities() []string {
	results := enter()
	defer leave()
	abi.ConnectionClientIdentities(results.at())
	return results.list(0)
}

// ClientFingerprint is the SHA-256 of the client's verified certificate, in lower-case hexadecimal.
func (Connection) ClientFingerprint() (fingerprint string, found bool) {
	return optional(abi.ConnectionClientFingerprint)
}

// Destination is where the request goes. After the request phase it can still be read; writing it then no longer changes where
// the request went.
type Destination struct{}

// Cluster is a filter's choice, else the listener's.
func (Destination) Cluster() (name string, found bool) { return optional(abi.DestinationCluster) }

// SetCluster is refused if there is no such cluster, and changes nothing then.
func (Destination) SetCluster(name string) error { return refused(abi.DestinationSetCluster, name) }

// SetFallback is where the exchange goes when the cluster has no healthy endpoint.
func (Destination) SetFallback(cluster string) error {
	return refused(abi.DestinationSetFallback, cluster)
}

// SetEndpoint is this very endpoint of the cluster, by its address with the port.
func (Destination) SetEndpoint(address string) error {
	return refused(abi.DestinationSetEndpoint, address)
}

// Route is the name of the route that was taken.
func (Destination) Route() (name string, found bool) { return optional(abi.DestinationRoute) }

// SetRoute names the route, for logs, metrics, traces and later filters.
func (Destination) SetRoute(name string) { abi.DestinationSetRoute(clean(name)) }

// SetChain lets the exchange go on through this chain after the present one.
func (Destination) SetChain(name string) error { return refused(abi.DestinationSetChain, name) }

// SetSubset: only endpoints that carry all of these labels are eligible.
func (Destination) SetSubset(labels ...Field) {
	clear := make([]Field, len(labels))
	for index, label := range labels {
		clear[index] = Field{Name: label.Name, Value: clean(label.Value)}
	}
	abi.DestinationSetSubset(packFields(clear))
}

// SetHashKey is what a hashing balancer hashes.
func (Destination) SetHashKey(key []byte) { abi.DestinationSetHashKey(plain(key)) }

// SetTimeout is how long the exchange may take in all, retries included. Zero: as long as it likes.
func (Destination) SetTimeout(total time.Duration) {
	abi.DestinationSetTimeoutMs(shortMilliseconds(total))
}

// SetRetry: at most so many attempts in all, on these occasions ("connect", "reset", "timeout", "5xx", a status code, …). The
// time of one attempt may be zero: none of its own.
func (Destination) SetRetry(attempts uint32, perTry time.Duration, on ...string) error {
	results := enter()
	defer leave()
	abi.DestinationSetRetry(attempts, packTexts(on), some(perTry > 0), shortMilliseconds(perTry), results.at())
	return results.refused()
}

// Mirror sends a copy of the request, body included, to another cluster, with these fields set on it; a field `host` is the
// copy's own authority. It is never waited for. A body longer than the limit is not mirrored. The number that comes back finds
// the result in [Outcome.Mirrored].
func (Destination) Mirror(cluster string, bodyLimit uint32, fields ...Field) (copy uint32, err error) {
	results := enter()
	defer leave()
	abi.DestinationMirror(clean(cluster), packFields(fields), bodyLimit, results.at())
	if err := results.refused(); err != nil {
		return 0, err
	}
	return results.word(4), nil
}

// SetResponseRate is how fast the response may flow to the client. Zero: as fast as it can.
func (Destination) SetResponseRate(bytesPerSecond uint64) {
	abi.DestinationSetResponseRate(bytesPerSecond)
}

func some(there bool) uint32 {
	if there {
		return 1
	}
	return 0
}

// Outcome is how the exchange went. Request, connection, destination and notes can be read as before.
type Outcome struct{ inHand }

// Request is the one that it was about.
func (o *Outcome) Request() *Request { return &Request{} }

// Status is what the client got; zero if it got nothing.
func (o *Outcome) Status() int { return int(abi.OutcomeStatus()) }

// RequestBytes are those of the body, as the client sent it.
func (o *Outcome) RequestBytes() uint64 { return abi.OutcomeRequestBytes() }

// ResponseBytes are those of the body, as the client got it.
func (o *Outcome) ResponseBytes() uint64 { return abi.OutcomeResponseBytes() }

// Duration is how long it took.
func (o *Outcome) Duration() time.Duration {
	return time.Duration(abi.OutcomeDurationUs()) * time.Microsecond
}

// Upstream is the address of the endpoint that answered.
func (o *Outcome) Upstream() (address string, found bool) { return optional(abi.OutcomeUpstream) }

// Attempts is how often an endpoint was tried.
func (o *Outcome) Attempts() uint32 { return abi.OutcomeAttempts() }

// Failure is the reason word of an answer that the proxy made, or of an exchange that was cut off.
func (o *Outcome) Failure() (reason string, found bool) { return optional(abi.OutcomeFailure) }

// Mirrored is the result of a copy.
type Mirrored struct {
	// Status is zero if no answer came.
	Status int
	// BodyHash is there to compare two answers by.
	BodyHash uint64
	Duration time.Duration
}

// Mirrored is the result of the copy that [Destination.Mirror] asked for; there is none if it has not ended, or was never sent.
func (o *Outcome) Mirrored(copy uint32) (result Mirrored, found bool) {
	results := enter()
	defer leave()
	abi.OutcomeMirrored(copy, results.at())
	if results.byte(0) == 0 {
		return Mirrored{}, false
	}
	duration := time.Duration(results.long(24)) * time.Microsecond
	return Mirrored{Status: int(uint16(results.word(8))), BodyHash: results.long(16), Duration: duration}, true
}

// MirroredHeaders has each value of the name in the head of the copy's answer.
func (o *Outcome) MirroredHeaders(copy uint32, name string) []string {
	results := enter()
	defer leave()
	abi.OutcomeMirroredHeaders(copy, clean(name), results.at())
	return results.list(0)
}
