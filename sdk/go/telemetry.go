package tamis

import (
	"fmt"
	"math"
	"time"

	"tamis-sdk/internal/abi"
)

// Counter is a number that only rises. Label values stand in the order of declaration. They come from traffic only with care:
// past the metric's limit of values the proxy counts under `other`.
type Counter uint32

// Increment adds one.
func (c Counter) Increment(labels ...string) { c.Add(1, labels...) }

// Add adds this.
func (c Counter) Add(value float64, labels ...string) { observe(uint32(c), value, labels) }

// Gauge is a number that rises and falls.
type Gauge uint32

// Set sets it.
func (g Gauge) Set(value float64, labels ...string) { observe(uint32(g), value, labels) }

// Histogram is how often values of which size came.
type Histogram uint32

// Observe counts a value.
func (h Histogram) Observe(value float64, labels ...string) { observe(uint32(h), value, labels) }

func observe(metric uint32, value float64, labels []string) {
	abi.MetricsObserve(metric, packTexts(labels), value)
}

func declare(name, help string, kind uint32, labels []string) (uint32, error) {
	results := enter()
	defer leave()
	abi.MetricsDeclare(clean(name), clean(help), kind, packTexts(labels), results.at())
	if err := results.refused(); err != nil {
		return math.MaxUint32, err
	}
	return results.word(4), nil
}

// Severity is how much a line of the log matters.
type Severity uint32

// The severities.
const (
	Trace Severity = iota
	Debug
	Info
	Warn
	Error
)

// LogEnabled tells whether a line of this severity would be written: ask before putting together one that is costly.
func LogEnabled(severity Severity) bool { return abi.LogEnabled(uint32(severity)) != 0 }

// Logf writes one line into the proxy's log, if lines of its severity are written. Long ones are cut. What is printed to
// standard output and standard error becomes lines as well, of the severities Info and Warn.
func Logf(severity Severity, format string, values ...any) {
	if LogEnabled(severity) {
		log(severity, fmt.Sprintf(format, values...))
	}
}

func log(severity Severity, message string) { abi.LogWrite(uint32(severity), clean(message)) }

// Now is the time of day, which may jump. time.Now is the same.
func Now() time.Time { return time.Unix(0, int64(abi.ClockNowNs())) }

// Monotonic is the time since an unknown moment, the same for all instances of the process. It never goes back.
func Monotonic() time.Duration { return time.Duration(abi.ClockMonotonicNs()) }

// Sleep waits without holding a thread; time.Sleep does, too.
func Sleep(period time.Duration) { abi.ClockSleepMs(shortMilliseconds(period)) }

// Random is 64 bits that cannot be guessed. What is drawn while the filter is configured is shared by every copy of the
// configured instance, and so is what Go draws before: math/rand and the seeds of maps. For keys and tokens use this, or
// crypto/rand.
func Random() uint64 { return abi.EntropyNext() }

// RandomBytes are at most 64 KiB at once; more is a trap.
func RandomBytes(count uint32) []byte {
	results := enter()
	defer leave()
	abi.EntropyBytes(count, results.at())
	return results.bytes(0)
}
