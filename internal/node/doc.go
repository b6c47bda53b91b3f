// Package node is the composition root: it opens the state, builds the agents, starts the services, and reloads, drains
// and stops them. It is the only package that picks implementations.
//
// A Node is opened (state, under the lock of the data directory), then started (queue, listeners), reloaded any number of
// times (all or nothing: a configuration that cannot be put in force changes nothing), and stopped (drain). Two nodes may
// run in one process. When a disk fails, Fatal says so: the node has stopped acknowledging, and its process must end.
//
// Files: node.go (life) · state.go (what is durable) · services.go (listeners) · agents.go, outgoing.go (what a configuration makes) ·
// tls.go (certificates) · auth.go (logins) · sessions.go (who logs in and out, for the log) · admission.go (disk space, quota) · events.go (queue outcomes) · api.go,
// api_queue.go, api_mail.go (what the operator may do) · bind.go (listeners opened beforehand) · auth_system.go (passwords of system users) · sandbox.go, landlock.go (what the process may open) ·
// upkeep.go, upkeep_compact.go, upkeep_service.go, upkeep_stats.go, api_store.go (the packs' life, `postrider store`) ·
// check.go, check_offline.go, check_records.go, check_queue.go (`postrider check`) · health.go (for the watchdog) · http.go (what http and https show, to whom) · setup.go (what clients are told) · lock.go.
package node
