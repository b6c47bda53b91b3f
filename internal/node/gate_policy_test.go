package node

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

func TestParsePolicy(t *testing.T) {
	base := config.Defaults().Access.PolicyService
	for text, want := range map[string]string{
		"inet:127.0.0.1:10023":                       "tcp 127.0.0.1:10023",
		"inet:10023":                                 "tcp localhost:10023",
		"inet:[::1]:10023":                           "tcp [::1]:10023",
		"unix:/run/x":                                "unix /run/x",
		"{ unix:/run/x }":                            "unix /run/x",
		"unix:private/policyd":                       "!spawns",
		"127.0.0.1:10023":                            "!inet:host:port",
		"inet:host:":                                 "!inet:host:port",
		"":                                           "!expected is",
		"unix:/x, timeout=0":                         "!more than 0s",
		"unix:/x, timeout=soon":                      "!timeout=soon",
		"unix:/x, try_limit=0":                       "!above 0",
		"unix:/x, timeuot=1":                         "!is timeout meant?",
		"unix:/x, default_action":                    "!name=value",
		"unix:/x, { default_action = DEFER a":        "!not closed",
		"unix:/x, default_action=":                   "!known are",
		"unix:/x timeout=5 policy_context=y":         "unix /x",
		"unix:/x, { default_action = DEFER try it }": "unix /x",
	} {
		_, network, address, err := parsePolicy(text, base)
		if wrong, ok := strings.CutPrefix(want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%q: %v, want %q", text, err, wrong)
			}
			continue
		}
		if got := network + " " + address; err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	c, _, _, err := parsePolicy("{ inet:h:1, timeout=7, max_idle=2m, request_limit=3, { default_action = DEFER try it }, policy_context=a }", base)
	if err != nil || c.SmtpdPolicyServiceTimeout.D() != 7*time.Second || c.SmtpdPolicyServiceMaxIdle.D() != 2*time.Minute || c.SmtpdPolicyServiceRequestLimit != 3 ||
		c.SmtpdPolicyServiceDefaultAction != "DEFER try it" || c.SmtpdPolicyServicePolicyContext != "a" || c.SmtpdPolicyServiceTryLimit != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}
