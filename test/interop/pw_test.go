package interop

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/crypt"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// TestPasswordsOfDovecot: what doveadm makes, in every scheme it has, we can check; what we make, it can check.
func TestPasswordsOfDovecot(t *testing.T) {
	doveadm := needs.Program(t, "doveadm")
	const user, password = "alice@example.org", "Pässword 1"
	list, err := exec.Command(doveadm, "pw", "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(list))
	if len(names) < 25 {
		t.Fatalf("doveadm knows %d schemes: %s", len(names), list)
	}
	for _, name := range names {
		out, err := exec.Command(doveadm, "pw", "-s", name, "-p", password, "-u", user).Output()
		if err != nil {
			t.Errorf("doveadm pw -s %s: %v", name, err)
			continue
		}
		stored := strings.TrimSpace(string(out))
		for p, want := range map[string]bool{password: true, "Password 1": false} {
			if fits, err := crypt.Verify(stored, user, p); fits != want || err != nil {
				t.Errorf("%s with %q: %v, %v", stored, p, fits, err)
			}
		}
	}
	for _, s := range crypt.Schemes() {
		if !s.Write {
			continue
		}
		stored := strings.TrimSpace(system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"pw", "hash", "--scheme", s.Name, "--password-stdin"},
			Stdin: strings.NewReader(password + "\n")}).Stdout)
		if out, err := exec.Command(doveadm, "pw", "-t", stored, "-p", password).CombinedOutput(); err != nil || !strings.Contains(string(out), "(verified)") {
			t.Errorf("doveadm pw -t %s: %v: %s", stored, err, out)
		}
	}
}
