package privhelper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"golang.org/x/sys/unix"
)

// maxAliases bounds a file of aliases(5) that names a command or a file.
const maxAliases = 64 << 20

// errUnsafe is a file that somebody else than its owner could have written.
var errUnsafe = errors.New("cannot be used")

// configuration is the helper's own reading of it.
func (h *Helper) configuration() (*config.Config, error) {
	text, err := ownTrust().readTrusted(h.Config, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("the configuration is not read: %w", err)
	}
	return config.Parse(h.Config, text, nil)
}

// source finds who asks for a delivery, becomes that user, and returns what he has written: a .forward, or aliases(5).
// After it the process has no right of root's any more.
func (h *Helper) source(c *config.Config, m Message) (who identity, text string, err error) {
	switch string(m.Get("source")) {
	case "forward":
		if who, err = h.person(string(m.Get("user"))); err == nil {
			err = become(who)
		}
		if err == nil {
			text, _, err = forwardText(c, who, string(m.Get("extension")))
		}
		return who, text, err
	case "alias":
		return h.aliasSource(c, string(m.Get("path")))
	}
	return who, "", fmt.Errorf("%w: a source %q", errUnsafe, m.Get("source"))
}

// aliasSource reads a file of alias_maps. What root's file names is done as default_privs; what another user's names, as
// that user, local(8).
func (h *Helper) aliasSource(c *config.Config, path string) (who identity, text string, err error) {
	if !slices.Contains(aliasFiles(c, filepath.Dir(h.Config)), path) {
		return who, "", fmt.Errorf("%w: %q is no text file of routing.alias_maps in %s", errUnsafe, path, h.Config)
	}
	var st, dir unix.Stat_t
	if err := errors.Join(unix.Lstat(path, &st), unix.Stat(filepath.Dir(path), &dir)); err != nil {
		return who, "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if own := ownTrust(); own.owner(st.Uid) {
		content, err := own.readTrusted(path, maxAliases)
		if err != nil {
			return who, "", err
		}
		who, err = h.identity(func(i identity) bool { return i.name == c.Routing.DefaultPrivs })
		if err != nil {
			return who, "", fmt.Errorf("routing.default_privs = %q: %w", c.Routing.DefaultPrivs, err)
		}
		return who, string(content), become(who)
	}
	// The folder is root's or the same user's: nobody else can have put a file of that user there.
	if st.Nlink != 1 || dir.Uid != 0 && dir.Uid != st.Uid || dir.Mode&0o002 != 0 {
		return who, "", fmt.Errorf("%w: %s has several names, or its folder belongs to somebody else or can be written to by everybody", errUnsafe, path)
	}
	if who, err = h.identity(func(i identity) bool { return i.uid == int(st.Uid) }); err != nil {
		return who, "", fmt.Errorf("%s belongs to the user id %d: %w", path, st.Uid, err)
	}
	if err := become(who); err != nil {
		return who, "", err
	}
	content, err := readOwn(path, written{by: who}, maxAliases)
	return who, content, err
}

// aliasFiles are the text files of alias_maps.
func aliasFiles(c *config.Config, dir string) (files []string) {
	for _, item := range c.Routing.AliasMaps {
		for _, one := range strings.FieldsFunc(item, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			kind, path, _ := strings.Cut(strings.TrimPrefix(one, "proxy:"), ":")
			if !slices.Contains([]string{"hash", "btree", "lmdb", "cdb", "dbm", "texthash"}, kind) {
				continue
			}
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			files = append(files, path)
		}
	}
	return files
}

// forwardText reads the first .forward that is there. notes name those that cannot be used, with the mend: they are as if
// they were not there, local(8).
func forwardText(c *config.Config, who identity, extension string) (text string, notes []string, err error) {
	if strings.ContainsAny(extension, "/\x00") {
		extension = ""
	}
	for _, form := range c.Routing.ForwardPath {
		path, ok := forwardPath(form, who, extension, c.Delivery.RecipientDelimiter)
		if !ok {
			continue
		}
		text, err = readOwn(path, written{by: who, alone: true}, MaxFile)
		switch {
		case err == nil:
			return text, notes, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		case errors.Is(err, errUnsafe), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
			notes = append(notes, err.Error())
		default:
			return "", notes, err // an error of the disk, or of the server that has the homes: later
		}
	}
	return "", notes, fs.ErrNotExist
}

// forwardPath expands an item of forward_path; ok is false when it names something that this recipient has not.
func forwardPath(form string, who identity, extension, delimiter string) (path string, ok bool) {
	ok = true
	path = os.Expand(form, func(name string) string {
		value := map[string]string{"home": who.home, "user": who.name, "extension": extension, "recipient_delimiter": delimiter}[name]
		if value == "" || name == "recipient_delimiter" && extension == "" {
			ok = false
		}
		return value
	})
	return path, ok && filepath.IsAbs(path)
}

// written says who may have written a file.
type written struct {
	by     identity // he, or root
	anyone bool     // whoever owns it: the file is named by who may name any
	alone  bool     // not its group either, unless that is the user's own
}

// readOwn reads a file with the rights that the process has now: a regular file, not a link, that not everybody can write to.
func readOwn(path string, w written, limit int64) (string, error) {
	who := w.by
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	mine := int(st.Gid) == who.gid && who.gid == who.uid
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", fmt.Errorf("%s %w: it is not a regular file", path, errUnsafe)
	case !w.anyone && int(st.Uid) != who.uid && st.Uid != 0:
		return "", fmt.Errorf("%s %w: it belongs to the user id %d: chown %s %s", path, errUnsafe, st.Uid, who.name, path)
	case st.Mode&0o002 != 0:
		return "", fmt.Errorf("%s %w: everybody may write to it: chmod o-w %s", path, errUnsafe, path)
	case w.alone && st.Mode&0o020 != 0 && !mine:
		return "", fmt.Errorf("%s %w: its group may write to it: chmod g-w %s", path, errUnsafe, path)
	case st.Size > limit:
		return "", fmt.Errorf("%s %w: it is larger than %d bytes", path, errUnsafe, limit)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	return string(text), err
}
