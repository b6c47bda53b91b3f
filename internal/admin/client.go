package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ErrNoServer says that nobody serves the socket.
var ErrNoServer = errors.New("no server runs")

const (
	dialTimeout = 5 * time.Second
	maxAnswer   = 256 << 20 // bytes; a list of a million messages fits
)

// Client is an API across the socket.
type Client struct {
	http *http.Client
}

var _ API = (*Client)(nil)

// Dial returns a Client for the server whose run_dir is dir, or ErrNoServer.
func Dial(ctx context.Context, dir string) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dial(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNoServer
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Kind: Denied, Text: fmt.Sprintf("admin socket: %v: run the command as root or as the user that owns %s", err, dir)}
	case err != nil:
		return nil, &Error{Kind: Unavailable, Text: fmt.Sprintf("admin socket: %v", err)}
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		DisableCompression: true,
	}}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// post sends a call; the answer's body is open.
func (c *Client) post(ctx context.Context, name string, arg any) (io.ReadCloser, error) {
	body, err := json.Marshal(arg)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://admin/v1/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Kind: Unavailable, Text: fmt.Sprintf("the server did not answer: %v", err)}
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	e := &Error{}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxArgument)).Decode(e)
	if err = errors.Join(err, resp.Body.Close()); err != nil || e.Kind == "" {
		return nil, &Error{Kind: Unavailable, Text: fmt.Sprintf("the server answered %s: %v", resp.Status, err)}
	}
	return nil, e
}

// get calls an operation and decodes its result.
func get[Result any](ctx context.Context, c *Client, name string, arg any) (result Result, err error) {
	body, err := c.post(ctx, name, arg)
	if err != nil {
		return result, err
	}
	err = json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&result)
	if err = errors.Join(err, body.Close()); err != nil {
		return result, &Error{Kind: Unavailable, Text: fmt.Sprintf("the server's answer was cut short: %v", err)}
	}
	return result, nil
}

func do(ctx context.Context, c *Client, name string, arg any) error {
	_, err := get[struct{}](ctx, c, name, arg)
	return err
}

func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "status", nil)
}
func (c *Client) Config(ctx context.Context) (Config, error) {
	return get[Config](ctx, c, "config", nil)
}

func (c *Client) Domains(ctx context.Context) ([]Domain, error) {
	return get[[]Domain](ctx, c, "domains", nil)
}
func (c *Client) Domain(ctx context.Context, name string) (Domain, error) {
	return get[Domain](ctx, c, "domain", name)
}
func (c *Client) AddDomain(ctx context.Context, d DomainChange) (Domain, error) {
	return get[Domain](ctx, c, "domain-add", d)
}
func (c *Client) SetDomain(ctx context.Context, d DomainChange) (Domain, error) {
	return get[Domain](ctx, c, "domain-set", d)
}
func (c *Client) RemoveDomain(ctx context.Context, name string) error {
	return do(ctx, c, "domain-remove", name)
}

func (c *Client) Accounts(ctx context.Context, domain string) ([]Account, error) {
	return get[[]Account](ctx, c, "accounts", domain)
}
func (c *Client) Account(ctx context.Context, address string) (Account, error) {
	return get[Account](ctx, c, "account", address)
}
func (c *Client) AddAccount(ctx context.Context, a NewAccount) (Account, error) {
	return get[Account](ctx, c, "account-add", a)
}
func (c *Client) SetAccount(ctx context.Context, a AccountChange) (Account, error) {
	return get[Account](ctx, c, "account-set", a)
}
func (c *Client) SetPassword(ctx context.Context, p Password) error {
	return do(ctx, c, "password-set", p)
}
func (c *Client) RemoveAccount(ctx context.Context, address string) error {
	return do(ctx, c, "account-remove", address)
}

func (c *Client) Setup(ctx context.Context, address string) (Setup, error) {
	return get[Setup](ctx, c, "setup", address)
}

func (c *Client) Aliases(ctx context.Context, domain string) ([]Alias, error) {
	return get[[]Alias](ctx, c, "aliases", domain)
}
func (c *Client) Alias(ctx context.Context, address string) (Alias, error) {
	return get[Alias](ctx, c, "alias", address)
}
func (c *Client) AddAlias(ctx context.Context, a Alias) (Alias, error) {
	return get[Alias](ctx, c, "alias-add", a)
}
func (c *Client) SetAlias(ctx context.Context, a Alias) (Alias, error) {
	return get[Alias](ctx, c, "alias-set", a)
}
func (c *Client) RemoveAlias(ctx context.Context, address string) error {
	return do(ctx, c, "alias-remove", address)
}

func (c *Client) Queue(ctx context.Context, f JobFilter, each func(Job) error) error {
	return receive(ctx, c, "queue", f, each)
}
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	return get[Job](ctx, c, "job", id)
}
func (c *Client) JobMessage(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.post(ctx, "job-message", id)
}
func (c *Client) ChangeJobs(ctx context.Context, j JobsChange) (JobsChanged, error) {
	return get[JobsChanged](ctx, c, "queue-change", j)
}
func (c *Client) QueueStats(ctx context.Context) (QueueStats, error) {
	return get[QueueStats](ctx, c, "queue-stats", nil)
}

func (c *Client) Mailboxes(ctx context.Context, account string) ([]Mailbox, error) {
	return get[[]Mailbox](ctx, c, "mailboxes", account)
}
func (c *Client) Messages(ctx context.Context, q MessageQuery) ([]Message, error) {
	return get[[]Message](ctx, c, "messages", q)
}
func (c *Client) Message(ctx context.Context, m MessageID) (io.ReadCloser, error) {
	return c.post(ctx, "message", m)
}

func (c *Client) SearchMail(ctx context.Context, q MailQuery, each func(Found) error) error {
	return receive(ctx, c, "mail-search", q, each)
}
func (c *Client) ChangeMail(ctx context.Context, m MailChange) (Count, error) {
	return get[Count](ctx, c, "mail-change", m)
}

func (c *Client) Sessions(ctx context.Context, q SessionQuery) ([]Session, error) {
	return get[[]Session](ctx, c, "sessions", q)
}
func (c *Client) Kick(ctx context.Context, q SessionQuery) (Kicked, error) {
	return get[Kicked](ctx, c, "session-kick", q)
}

func (c *Client) Explain(ctx context.Context, q ExplainQuery) (Explanation, error) {
	return get[Explanation](ctx, c, "explain", q)
}

func (c *Client) Check(ctx context.Context, q CheckQuery, each func(CheckEvent) error) error {
	return receive(ctx, c, opCheck, q, each)
}

func (c *Client) StoreStats(ctx context.Context) (StoreStats, error) {
	return get[StoreStats](ctx, c, opStoreStats, nil)
}
func (c *Client) Trace(ctx context.Context, q TraceQuery, each func(TraceItem) error) error {
	return receive(ctx, c, opTrace, q, each)
}
func (c *Client) Upkeep(ctx context.Context, q UpkeepQuery, each func(UpkeepEvent) error) error {
	return receive(ctx, c, opUpkeep, q, each)
}
