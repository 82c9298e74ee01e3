package lazyregexp

import "testing"

func TestItIsCompiledOnceAndNotBefore(t *testing.T) {
	broken := New(`(`) // panics only when it is used
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression was taken")
		}
	}()
	p := New(`^a+$`)
	if first, second := p.Get(), p.Get(); first != second || !first.MatchString("aa") {
		t.Error("not the same, or not this expression")
	}
	broken.Get()
}
