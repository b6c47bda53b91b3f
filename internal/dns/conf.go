package dns

import (
	"net/netip"
	"os"
	"strings"
)

// SystemConf is where the system names its resolvers.
const SystemConf = "/etc/resolv.conf"

// maxServers bounds the resolvers taken from a file.
const maxServers = 8

// SystemResolvers returns the resolvers that the file at path names, "address:port" each; without any, the one on this
// host, as resolv.conf(5) says.
func SystemResolvers(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		text = nil
	}
	if servers := parseConf(string(text)); len(servers) > 0 {
		return servers
	}
	return []string{"127.0.0.1:53"}
}

// parseConf reads the nameserver lines of a resolv.conf; all else is ignored.
func parseConf(text string) []string {
	var servers []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, 53).String())
		}
	}
	return servers
}
