package privhelper

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

const maxConfig = 4 << 20

// readFile hands out a certificate file that the helper's own reading of the configuration names. The configuration is
// read anew each time, so a path counts from the moment when root has written it there.
func (h *Helper) readFile(m Message) Message {
	path := string(m.Get("path"))
	listed, err := h.listed()
	if err != nil {
		return failed(err)
	}
	if !slices.Contains(listed, path) {
		return refused(fmt.Sprintf("%q is not a certificate file of %s", path, h.Config))
	}
	text, err := ownTrust().readTrusted(path, MaxFile)
	switch {
	case errors.Is(err, errUntrusted):
		return refused(err.Error() + ": every folder, link and file on the way must be root's and writable by nobody else")
	case errors.Is(err, fs.ErrNotExist):
		return message(replyMissing, "text", err.Error())
	case err != nil:
		return failed(err)
	case !isPEM(text):
		return refused(path + " holds neither a certificate nor a key in PEM")
	}
	return Message{Op: replyOK, Fields: []Field{{"data", text}}}
}

// listed are the files that may be asked for.
func (h *Helper) listed() ([]string, error) {
	text, err := ownTrust().readTrusted(h.Config, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // an empty configuration names none
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration is not read: %w", err)
	}
	c, err := config.Parse(h.Config, text, nil)
	if err != nil {
		return nil, err
	}
	return CertificateFiles(c), nil
}

// CertificateFiles are the files of a configuration that hold certificates and their keys.
func CertificateFiles(c *config.Config) []string {
	list := []string{c.TLS.Cert, c.TLS.Key}
	for _, pair := range c.TLS.Certificates { // "CERT KEY", or one file with both
		list = append(list, strings.Fields(pair)...)
	}
	return slices.DeleteFunc(list, func(path string) bool { return path == "" || !filepath.IsAbs(path) })
}

// isPEM tells a certificate or a key from any other file that a listed name could lead to.
func isPEM(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" || strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}
