package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// SystemHostname returns the full name of this host: the kernel's if it has a dot, else the first name with a dot on
// its line in the hosts file, else the kernel's with ".localdomain", since a greeting wants a full name (RFC 5321
// §2.3.5).
func SystemHostname(hosts string) string {
	name, err := os.Hostname()
	if err != nil || !isHostname(name) {
		name = "localhost"
	}
	if strings.Contains(name, ".") {
		return name
	}
	text, err := os.ReadFile(hosts)
	if err == nil {
		if full := fullName(text, name); full != "" {
			return full
		}
	}
	return name + ".localdomain"
}

// fullName finds the dotted name beside a short one in the text of a hosts file.
func fullName(hosts []byte, short string) string {
	for line := range strings.Lines(string(hosts)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		dotted, same := "", false
		for _, f := range fields[min(1, len(fields)):] {
			if strings.EqualFold(f, short) {
				same = true
			}
			if dotted == "" && isHostname(f) && strings.HasPrefix(strings.ToLower(f), strings.ToLower(short)+".") {
				dotted = f
			}
		}
		if same && dotted != "" {
			return dotted
		}
	}
	return ""
}

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// ReadSecret returns the first line of a file that a *_file key names. A file that others may read is refused: the
// secret is no longer one.
func ReadSecret(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	if fi.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("secret: %s can be read or changed by everybody; chmod 600 it", path)
	}
	if fi.Size() > maxSecret {
		return "", fmt.Errorf("secret: %s is too large", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	secret := strings.TrimSuffix(string(line), "\r")
	if secret == "" {
		return "", fmt.Errorf("secret: %s: %w", path, errors.New("the first line is empty"))
	}
	return secret, nil
}
