package submit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// DropName is the drop folder's name in data_dir.
const DropName = "drop"

// Names in the drop folder: a file that is complete is called by its token, one that is being written has a prefix.
const (
	draftPrefix = "new."
	readySuffix = ".msg"
)

// IsReady tells whether a file of this name is complete.
func IsReady(name string) bool {
	_, err := ReadyToken(name)
	return err == nil
}

// ReadyToken is the token of a complete file's name.
func ReadyToken(name string) (Token, error) {
	token, ok := strings.CutSuffix(name, readySuffix)
	if !ok {
		return Token{}, wrong("%s is not the name of a complete file", shown(name))
	}
	return ParseToken(token)
}

// IsDraft tells whether a file of this name is being written, or was when its writer died.
func IsDraft(name string) bool { return strings.HasPrefix(name, draftPrefix) }

// Drop writes a message into the drop folder dir. When it returns nil the file is complete and durable. Those who may
// only write into the folder cannot list it, and the names are random: so a file that the server must be able to read can
// be opened by nobody else who does not own it.
func Drop(dir string, h *Head, body io.Reader) (err error) {
	if err := h.Check(); err != nil {
		return err
	}
	name := h.Token.String() + readySuffix
	draft := filepath.Join(dir, draftPrefix+name)
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("drop folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("drop folder: %w", err), f.Close(), os.Remove(draft))
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if _, err := w.Write(h.Append(nil)); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(body, h.Size))
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644) // the server is another user
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return err
	}
	if err := os.Rename(draft, filepath.Join(dir, name)); err != nil {
		return err
	}
	draft = filepath.Join(dir, name)
	// The folder cannot be opened by those who may only write into it, so its entry cannot be synced by itself. The file
	// can, again: its inode changed by the rename, and ext4, XFS and btrfs commit the rename with it.
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("drop folder: %w", err)
	}
	return nil
}
