package main

import "testing"

// What calls no function of the proxy is tested natively; `tamis filter test` puts an exchange through the whole filter.
func TestClosedPathsAreClosedWithEverythingBelow(t *testing.T) {
	config := config{Closed: []string{"/shop"}}
	for path, expected := range map[string]bool{"/shop": true, "/shop/7": true, "/shopping": false, "/blog/shop": false} {
		if _, found := config.closedAt(path); found != expected {
			t.Errorf("%s is closed: %v, expected %v", path, found, expected)
		}
	}
}
