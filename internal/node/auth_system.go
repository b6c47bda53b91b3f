package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/privhelper"
	"github.com/postrider/postrider/internal/state/directory"
)

// systemAuth checks the passwords of system users in the way that auth.system names, in the configuration in force.
type systemAuth struct {
	config *atomic.Pointer[config.Config]
}

var _ directory.SystemUsers = systemAuth{}

// CheckPassword asks the helper or saslauthd. Neither is retried: the client's next attempt is.
func (s systemAuth) CheckPassword(ctx context.Context, user, password string) (bool, error) {
	switch c := s.config.Load(); {
	case c.Auth.System == "saslauthd":
		return saslauthd(ctx, c.Auth.SaslauthdSocket, user, password)
	case c.Auth.System == "shadow" && c.Helper.Enabled:
		return helperOf(c).Verify(ctx, user, password)
	case c.Auth.System == "shadow":
		return false, errors.New("helper.enabled is false, and auth.system = \"shadow\" needs the helper")
	}
	return false, errors.New("auth.system is \"none\": set it to \"shadow\" or \"saslauthd\" so that system users can log in")
}

// helperOf is the way to the helper; there is nothing to close.
func helperOf(c *config.Config) *privhelper.Client {
	return &privhelper.Client{Socket: c.Helper.Socket}
}

const (
	// PAM modules wait some seconds before they say no.
	saslauthdTimeout = 20 * time.Second
	maxSaslauthd     = 1024   // bytes of its answer
	saslauthdService = "smtp" // the file in /etc/pam.d
)

// saslauthd asks saslauthd(8): login, password, service and realm, each with its length in two bytes before it; the answer
// has the same form and begins with OK or NO.
func saslauthd(ctx context.Context, socket, user, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, saslauthdTimeout)
	defer cancel()
	var request []byte
	for _, s := range []string{user, password, saslauthdService, ""} {
		if len(s) > maxSaslauthd {
			return false, nil
		}
		request = append(binary.BigEndian.AppendUint16(request, uint16(len(s))), s...)
	}
	answer, err := askSaslauthd(ctx, socket, request)
	if err != nil {
		return false, fmt.Errorf("saslauthd at %s (auth.saslauthd_socket): %w", socket, err)
	}
	switch {
	case strings.HasPrefix(answer, "OK"):
		return true, nil
	case strings.HasPrefix(answer, "NO"):
		return false, nil
	}
	return false, fmt.Errorf("saslauthd at %s answers %q", socket, answer)
}

func askSaslauthd(ctx context.Context, socket string, request []byte) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxSaslauthd {
		return "", fmt.Errorf("an answer of %d bytes", n)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	return string(answer), nil
}
