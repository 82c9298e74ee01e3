package lazyregexp

import "testing"

func TestItIsCompiledOnceAndNotBefore(t *testing.T) {
	broken := New(`(`) // panics only when it is used
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression was taken")
		}
	}()
	if p := New(`^a+$`); p() != p() || !p().MatchString("aa") {
		t.Error("not the same, or not this expression")
	}
	broken()
}
