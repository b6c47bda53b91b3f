package source

import (
	"net"
	"testing"
	"time"
)

func TestAddressesAreDifferentAndOurs(t *testing.T) {
	seen := map[string]bool{}
	for i := range Most {
		a := Address(i, Most)
		if !a.IsLoopback() || a[15] == 0 || a[15] == 255 || seen[a.String()] {
			t.Fatalf("%d: %v", i, a)
		}
		seen[a.String()] = true
	}
	if a, b := Address(7, 3), Address(1, 3); !a.Equal(b) {
		t.Errorf("%v, %v", a, b)
	}
	if a := Address(7, 0); a != nil {
		t.Errorf("%v", a)
	}
}

func TestConnectionsComeFromTheirAddress(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, local := range []net.IP{nil, Address(0, 9), Address(8, 9)} {
		c, err := Dialer(local, time.Minute).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if from := s.RemoteAddr().(*net.TCPAddr).IP; local != nil && !from.Equal(local) {
			t.Errorf("from %v, want %v", from, local)
		}
		c.Close()
		s.Close()
	}
}
