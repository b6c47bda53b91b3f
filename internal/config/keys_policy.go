package config

import "time"

// PolicyService is how the servers of check_policy_service are asked; a restriction may say otherwise for its own:
// "check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DUNNO }".
type PolicyService struct {
	// How long connecting, asking and the answer may take together.
	SmtpdPolicyServiceTimeout Duration `toml:"smtpd_policy_service_timeout" min:"1s" max:"1h"`
	// The action when a server cannot be asked, or answers nothing usable. "DUNNO": as if it had not been asked.
	SmtpdPolicyServiceDefaultAction string `toml:"smtpd_policy_service_default_action"`
	// The attribute policy_context of requests.
	SmtpdPolicyServicePolicyContext string `toml:"smtpd_policy_service_policy_context"`
	// Requests on one connection. 0: any number.
	SmtpdPolicyServiceRequestLimit int `toml:"smtpd_policy_service_request_limit" min:"0" max:"1000000"`
	// The pause between two attempts of a request.
	SmtpdPolicyServiceRetryDelay Duration `toml:"smtpd_policy_service_retry_delay" min:"1s" max:"1m"`
	// Attempts of a request.
	SmtpdPolicyServiceTryLimit int `toml:"smtpd_policy_service_try_limit" min:"1" max:"100"`
	// A connection that was unused for so long is closed.
	SmtpdPolicyServiceMaxIdle Duration `toml:"smtpd_policy_service_max_idle" min:"1s" max:"1d"`
	// A connection is closed after so long.
	SmtpdPolicyServiceMaxTTL Duration `toml:"smtpd_policy_service_max_ttl" min:"1s" max:"1d"`
}

func defaultPolicyService() PolicyService {
	return PolicyService{SmtpdPolicyServiceTimeout: Duration(100 * time.Second), SmtpdPolicyServiceDefaultAction: "451 4.3.5 Server configuration problem",
		SmtpdPolicyServiceRetryDelay: Duration(time.Second), SmtpdPolicyServiceTryLimit: 2,
		SmtpdPolicyServiceMaxIdle: Duration(300 * time.Second), SmtpdPolicyServiceMaxTTL: Duration(1000 * time.Second)}
}
