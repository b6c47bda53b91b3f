package privhelper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Spawn returns a Run for Server: each request is answered by a process of its own, started with args and no environment,
// that reads the request from its standard input and writes the reply to its standard output. The end of ctx kills it.
func Spawn(log io.Writer, program string, args ...string) func(context.Context, Message) (Message, error) {
	return func(ctx context.Context, m Message) (Message, error) {
		if m.Op == opDeliver && m.File == nil {
			return refused("no message came with the request"), nil
		}
		frame, err := encode(m, maxRequest)
		if err != nil {
			return Message{}, err
		}
		var out limited
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env, cmd.Dir = []string{}, "/"
		if m.File != nil {
			cmd.ExtraFiles = []*os.File{m.File}
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(frame), &out, log
		if err := cmd.Run(); err != nil {
			return Message{}, fmt.Errorf("child: %w", errors.Join(err, context.Cause(ctx)))
		}
		return read(&out.got, maxReply)
	}
}

// messageFD is where a child finds the message: the first of cmd.ExtraFiles.
const messageFD = 3

// limited takes no more than a reply may have. It is no bytes.Buffer, whose ReadFrom would take all.
type limited struct{ got bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.got.Len()+len(p) > maxReply+4 {
		return 0, errFrame
	}
	return l.got.Write(p)
}

// Child answers the one request on in.
func (h *Helper) Child(in io.Reader, out io.Writer) error {
	m, err := read(in, maxRequest)
	if err != nil {
		return err
	}
	if m.Op == opDeliver {
		unix.CloseOnExec(messageFD)
		m.File = os.NewFile(messageFD, "message")
	}
	frame, err := encode(h.Answer(m), maxReply)
	if err != nil {
		return err
	}
	_, err = out.Write(frame)
	return err
}
