package thunderbird

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	marionetteAddr = "127.0.0.1:2828" // Mozilla's default; in a network namespace of our own
	commandTimeout = 2 * time.Minute
	maxAnswer      = 64 << 20 // bytes; screenshots are some hundred thousand
)

// marionette is a session with Thunderbird. Messages are JSON arrays with their length in front: [0, id, command,
// parameters] and [1, id, error, result].
type marionette struct {
	conn net.Conn
	r    *bufio.Reader
	last int
}

// connect waits until Thunderbird listens, and begins a session in its privileged context.
func connect(t testing.TB, gone <-chan struct{}) *marionette {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		conn, err := net.Dial("tcp", marionetteAddr)
		if err == nil {
			m := &marionette{conn: conn, r: bufio.NewReader(conn)}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(commandTimeout))
			if _, err := m.read(); err != nil { // its greeting
				t.Fatal(err)
			}
			m.call(t, "WebDriver:NewSession", map[string]any{})
			m.call(t, "Marionette:SetContext", map[string]any{"value": "chrome"})
			m.call(t, "WebDriver:SetTimeouts", map[string]any{"script": commandTimeout.Milliseconds()})
			return m
		}
		select {
		case <-gone:
			t.Fatal("Thunderbird ended")
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("Thunderbird does not listen: %v", err)
		}
	}
}

func (m *marionette) read() ([]byte, error) {
	length, err := m.r.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n < 0 || n > maxAnswer {
		return nil, fmt.Errorf("marionette: length %q", length)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(m.r, text)
	return text, err
}

// call sends a command and returns its result.
func (m *marionette) call(t testing.TB, command string, parameters any) json.RawMessage {
	t.Helper()
	m.last++
	text, err := json.Marshal([]any{0, m.last, command, parameters})
	if err != nil {
		t.Fatal(err)
	}
	_ = m.conn.SetDeadline(time.Now().Add(commandTimeout + 10*time.Second))
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(text), text); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	answer, err := m.read()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(answer, &parts); err != nil || len(parts) != 4 {
		t.Fatalf("%s: %v: %.200s", command, err, answer)
	}
	if string(parts[2]) != "null" {
		t.Fatalf("%s: %.2000s", command, parts[2])
	}
	return parts[3]
}

// run runs the body of an async function in Thunderbird's main window, with the arguments as args, and decodes what it
// returns into result, which may be nil.
func (m *marionette) run(t testing.TB, result any, body string, args ...any) {
	t.Helper()
	if args == nil {
		args = []any{}
	}
	script := helpers + `
const args = Array.from(arguments), done = args.pop();
(async () => {` + body + `})().then(v => done({ok: v === undefined ? null : v}), e => done({error: String(e) + "\n" + (e && e.stack)}));`
	raw := m.call(t, "WebDriver:ExecuteAsyncScript", map[string]any{"script": script, "args": args, "sandbox": "system", "newSandbox": false})
	var answer struct {
		Value struct {
			OK    json.RawMessage `json:"ok"`
			Error string          `json:"error"`
		} `json:"value"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatalf("%v: %.500s", err, raw)
	}
	if answer.Value.Error != "" {
		m.screenshot(t, "failed")
		t.Fatalf("Thunderbird: %s\nin: %s", answer.Value.Error, body)
	}
	if result != nil {
		if err := json.Unmarshal(answer.Value.OK, result); err != nil {
			t.Fatalf("%v: %.500s", err, answer.Value.OK)
		}
	}
}

// screenshot keeps what is on the window for people to look at.
func (m *marionette) screenshot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv(screenshotsEnv)
	if dir == "" {
		return
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(m.call(t, "WebDriver:TakeScreenshot", map[string]any{"full": false}), &answer); err != nil {
		t.Fatal(err)
	}
	png, err := base64.StdEncoding.DecodeString(answer.Value)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
