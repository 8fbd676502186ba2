package main

import (
	"strings"
	"testing"

	"tamis-sdk/tamistest"
)

// The hooks run natively, against the SDK's fake host: no proxy is needed, and no Wasm.
func TestWhatIsClosedIsAnsweredAndWhatIsNotPasses(t *testing.T) {
	host, err := tamistest.Configure(`{"closed": ["/shop"]}`)
	if err != nil {
		t.Fatal(err)
	}
	closed := host.Exchange(tamistest.Exchange{Target: "/shop/7"})
	if closed.Response.Status != 503 || closed.Response.Header.Get("retry-after") != "60" || closed.Upstream != nil {
		t.Errorf("expected 503 and nothing upstream, found %+v", closed)
	}
	open := host.Exchange(tamistest.Exchange{Target: "/shopping"})
	if open.Upstream == nil || open.Response.Header.Get("x-filter") != "{name}" {
		t.Errorf("expected that it passes, found %+v", open)
	}
}

func TestABadPathIsRefusedWithItsPlace(t *testing.T) {
	_, err := tamistest.Configure(`{"closed": ["/shop", "blog"]}`)
	if err == nil || !strings.HasPrefix(err.Error(), "closed[1]: expected a path") {
		t.Errorf("expected that closed[1] is refused, found %v", err)
	}
}
