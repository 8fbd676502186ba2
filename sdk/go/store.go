package tamis

import (
	"time"

	"tamis-sdk/internal/abi"
)

// Store is the name of one: small state that every instance of every worker shares, or a whole fleet when its backend is
// remote. It must be granted by the filter's `allow` table. A time to live of zero is none. Errors are a [StoreError].
type Store string

// StoreError is why a store or quota cannot be used.
type StoreError string

const (
	// StoreNotAllowed: the filter's `allow` table does not grant the store, or there is none of that name.
	StoreNotAllowed StoreError = "not-allowed"
	// StoreUnavailable: the backend does not answer.
	StoreUnavailable StoreError = "unavailable"
	// StoreTooLarge: key or value is longer than the store allows.
	StoreTooLarge StoreError = "too-large"
)

func (e StoreError) Error() string { return "the store cannot be used: " + string(e) }

func storeError(code uint8) error {
	return []StoreError{StoreNotAllowed, StoreUnavailable, StoreTooLarge}[code]
}

// Get is the value of the key; there is none if it was never set, or no longer.
func (s Store) Get(key string) (value []byte, found bool, err error) {
	results := enter()
	defer leave()
	abi.StoreGet(clean(string(s)), clean(key), results.at())
	if results.byte(0) == 1 {
		return nil, false, storeError(results.byte(4))
	}
	if results.byte(4) == 0 {
		return nil, false, nil
	}
	return results.bytes(8), true, nil
}

// Set writes a value.
func (s Store) Set(key string, value []byte, ttl time.Duration) error {
	results := enter()
	defer leave()
	abi.StoreSet(clean(string(s)), clean(key), plain(value), some(ttl > 0), milliseconds(ttl), results.at())
	return results.storeError()
}

// CompareAndSet writes only if the present value is the expected one (nil: if there is none), and tells whether it did.
func (s Store) CompareAndSet(key string, expected, value []byte, ttl time.Duration) (bool, error) {
	results := enter()
	defer leave()
	abi.StoreCompareAndSet(
		clean(string(s)), clean(key), some(expected != nil), plain(expected), plain(value),
		some(ttl > 0), milliseconds(ttl), results.at(),
	)
	if err := results.storeError(); err != nil {
		return false, err
	}
	return results.byte(1) == 1, nil
}

// Delete is no error if there is no such key.
func (s Store) Delete(key string) error {
	results := enter()
	defer leave()
	abi.StoreDelete(clean(string(s)), clean(key), results.at())
	return results.storeError()
}

// Increment adds to a number that begins at zero, and returns the sum. The time to live is that of the first call.
func (s Store) Increment(key string, by int64, ttl time.Duration) (int64, error) {
	results := enter()
	defer leave()
	abi.StoreIncrement(clean(string(s)), clean(key), uint64(by), some(ttl > 0), milliseconds(ttl), results.at())
	if results.byte(0) == 1 {
		return 0, storeError(results.byte(8))
	}
	return int64(results.long(8)), nil
}

// storeError is the error of a result whose other side takes one byte at most.
func (a *area) storeError() error {
	if a.byte(0) == 0 {
		return nil
	}
	return storeError(a.byte(1))
}

// QuotaKind is how a quota counts.
type QuotaKind uint8

const (
	// Rate is Limit tokens in each Window, with Burst saved up at most.
	Rate QuotaKind = iota
	// Calendar is at most Limit in the window that began at a multiple of Window since the Unix epoch.
	Calendar
	// Concurrency is at most Limit at once; given back by the proxy when the exchange ends.
	Concurrency
)

// Ask is how much of whose quota this exchange takes.
type Ask struct {
	Key    string
	Kind   QuotaKind
	Limit  uint64
	Window time.Duration
	Burst  uint64
	Cost   uint64
}

// Decision is what the proxy said to one ask.
type Decision struct {
	Allowed bool
	// Remaining is what is left after this decision.
	Remaining uint64
	// RetryAfter is when asking again may help; zero if it was allowed, the longest duration (math.MaxInt64) if it never will.
	RetryAfter time.Duration
	// ResetAfter is when the quota will be whole again.
	ResetAfter time.Duration
}

// Take is all or nothing: unless every ask is allowed, none is taken. There is a decision for each ask, in order.
func (s Store) Take(asks ...Ask) ([]Decision, error) {
	size := 0
	for _, ask := range asks {
		size += 48 + 3*len(ask.Key)
	}
	p := pack(size)
	records := p.take(uint32(len(asks))*48, 8)
	for index, ask := range asks {
		at := records + uint32(index)*48
		p.text(at, clean(ask.Key))
		p.byte(at+8, uint8(ask.Kind))
		p.long(at+16, ask.Limit)
		p.long(at+24, milliseconds(ask.Window))
		p.long(at+32, ask.Burst)
		p.long(at+40, ask.Cost)
	}
	results := enter()
	defer leave()
	abi.QuotaTake(clean(string(s)), p.list(len(asks)), results.at())
	if results.byte(0) == 1 {
		return nil, storeError(results.byte(4))
	}
	decisions := make([]Decision, len(asks))
	for index, decided := range results.records(4, 32) {
		decisions[index] = Decision{
			Allowed:    decided.byte(0) == 1,
			Remaining:  decided.long(8),
			RetryAfter: lasting(decided.long(16)),
			ResetAfter: lasting(decided.long(24)),
		}
	}
	return decisions, nil
}
