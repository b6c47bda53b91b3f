package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// An operation answers a call: either a value for JSON or a message.
type operation func(ctx context.Context, a API, body []byte) (value any, message io.ReadCloser, err error)

// operations are what can be called, by name. Client has a method for each, with the same name.
func operations() map[string]operation {
	return map[string]operation{
		"status":         ask(API.Status),
		"config":         ask(API.Config),
		"domains":        ask(API.Domains),
		"domain":         call(API.Domain),
		"domain-add":     call(API.AddDomain),
		"domain-set":     call(API.SetDomain),
		"domain-remove":  tell(API.RemoveDomain),
		"accounts":       call(API.Accounts),
		"account":        call(API.Account),
		"account-add":    call(API.AddAccount),
		"account-set":    call(API.SetAccount),
		"password-set":   tell(API.SetPassword),
		"account-remove": tell(API.RemoveAccount),
		"setup":          call(API.Setup),
		"aliases":        call(API.Aliases),
		"alias":          call(API.Alias),
		"alias-add":      call(API.AddAlias),
		"alias-set":      call(API.SetAlias),
		"alias-remove":   tell(API.RemoveAlias),
		"queue":          stream(API.Queue),
		"job":            call(API.Job),
		"job-message":    read(API.JobMessage),
		"queue-change":   call(API.ChangeJobs),
		"queue-stats":    ask(API.QueueStats),
		"mailboxes":      call(API.Mailboxes),
		"messages":       call(API.Messages),
		"message":        read(API.Message),
		"mail-search":    stream(API.SearchMail),
		"mail-change":    call(API.ChangeMail),
		"sessions":       call(API.Sessions),
		"session-kick":   call(API.Kick),
		"bans":           ask(API.Bans),
		"ban-add":        call(API.AddBan),
		"ban-remove":     tell(API.RemoveBan),
		"ban-check":      call(API.CheckBan),
		"limits":         ask(API.Usages),
		"explain":        call(API.Explain),
		opCheck:          live(API.Check),
		opStoreStats:     ask(API.StoreStats),
		opUpkeep:         live(API.Upkeep),
		opTrace:          live(API.Trace),

		"suppressions":       stream(API.Suppressions),
		"suppression-add":    call(API.AddSuppressions),
		"suppression-remove": tell(API.RemoveSuppression),
		"suppression-check":  call(API.CheckSuppression),
	}
}

// call is an operation with an argument and a result.
func call[Arg, Result any](method func(API, context.Context, Arg) (Result, error)) operation {
	return func(ctx context.Context, a API, body []byte) (any, io.ReadCloser, error) {
		arg, err := argument[Arg](body)
		if err != nil {
			return nil, nil, err
		}
		result, err := method(a, ctx, arg)
		return result, nil, err
	}
}

// ask is an operation without an argument.
func ask[Result any](method func(API, context.Context) (Result, error)) operation {
	return func(ctx context.Context, a API, _ []byte) (any, io.ReadCloser, error) {
		result, err := method(a, ctx)
		return result, nil, err
	}
}

// tell is an operation without a result.
func tell[Arg any](method func(API, context.Context, Arg) error) operation {
	return func(ctx context.Context, a API, body []byte) (any, io.ReadCloser, error) {
		arg, err := argument[Arg](body)
		if err != nil {
			return nil, nil, err
		}
		return struct{}{}, nil, method(a, ctx, arg)
	}
}

// read is an operation whose result is a message.
func read[Arg any](method func(API, context.Context, Arg) (io.ReadCloser, error)) operation {
	return func(ctx context.Context, a API, body []byte) (any, io.ReadCloser, error) {
		arg, err := argument[Arg](body)
		if err != nil {
			return nil, nil, err
		}
		message, err := method(a, ctx, arg)
		return nil, message, err
	}
}

func argument[Arg any](body []byte) (arg Arg, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&arg); err != nil {
		return arg, &Error{Kind: Invalid, Text: fmt.Sprintf("argument: %v", err)}
	}
	return arg, nil
}
