package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/state/suppress"
)

func (w *suppressionWhich) filter() admin.SuppressionFilter {
	return admin.SuppressionFilter{Owner: w.Owner, Everyone: w.Everyone, Domain: w.Domain, Reason: w.Reason, Expired: w.Expired}
}

func (c suppressionListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list := []admin.Suppression{}
		if err := api.Suppressions(ctx, c.filter(), func(e admin.Suppression) error { list = append(list, e); return nil }); err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("OWNER", "ADDRESS", "REASON", "UNTIL", "SINCE", "DETAIL")
			for _, e := range list {
				t.row(dash(e.Owner), printable(e.Address), kindOf(e), suppressedUntil(e), shortTime(e.Since), dash(printable(e.Detail)))
			}
			none := "The suppression lists are empty."
			if c.suppressionWhich != (suppressionWhich{}) {
				none = "No entry of the suppression lists is meant."
			}
			t.write(a, w, none)
		})
	})
}

func kindOf(e admin.Suppression) string {
	if e.Class == "" {
		return e.Reason
	}
	return e.Reason + " (" + printable(e.Class) + ")"
}

func suppressedUntil(e admin.Suppression) string {
	if e.Until == nil {
		return "for good"
	}
	return shortTime(*e.Until)
}

// holds is until when an entry holds that is made now; nil: for good.
func holds(option string) (*time.Time, error) {
	if option == "" {
		return nil, nil
	}
	var d config.Duration
	if err := d.UnmarshalText([]byte(option)); err != nil {
		return nil, usagef("--for: %v", err)
	}
	if d.D() < time.Second {
		return nil, usagef("--for: an entry holds a second at least")
	}
	until := time.Now().Add(d.D()).UTC().Truncate(time.Second)
	return &until, nil
}

func (c suppressionAddCmd) Run(a *app) error {
	until, err := holds(c.For)
	if err != nil {
		return err
	}
	var list []admin.Suppression
	for _, to := range c.Addresses {
		list = append(list, admin.Suppression{Owner: c.Owner, Address: to, Reason: suppress.Operator, Detail: c.Note, Until: until})
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		n, err := addSuppressions(ctx, api, list)
		if err != nil {
			return err
		}
		return a.done(added{n}, "%d on the list", n)
	})
}

type added struct {
	Entries int `json:"entries"`
}

// addSuppressions adds any number.
func addSuppressions(ctx context.Context, api admin.API, list []admin.Suppression) (n int, err error) {
	for len(list) > 0 {
		some := list[:min(len(list), admin.MaxSuppressions)]
		list = list[len(some):]
		k, err := api.AddSuppressions(ctx, some)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c suppressionRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveSuppression(ctx, admin.SuppressionKey{Owner: c.Owner, Address: c.Address}); err != nil {
			return err
		}
		return a.done(struct {
			Address string `json:"address"`
		}{c.Address}, "%s is off the list", c.Address)
	})
}

func (c suppressionCheckCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		v, err := api.CheckSuppression(ctx, admin.SuppressionKey{Owner: c.Sender, Address: c.Address})
		if err != nil {
			return err
		}
		err = a.show(v, func(w io.Writer) {
			if !v.Suppressed {
				fmt.Fprintf(w, "%s is not suppressed\n", c.Address)
				return
			}
			whose := "everybody's list"
			if v.Entry.Owner != "" {
				whose = "the list of " + v.Entry.Owner
			}
			fmt.Fprintf(w, "%s is on %s, until %s, %s: %s\n", c.Address, whose, suppressedUntil(*v.Entry), kindOf(*v.Entry), dash(printable(v.Entry.Detail)))
		})
		if err == nil && v.Suppressed {
			return &codeError{code: 1}
		}
		return err
	})
}

func (c suppressionImportCmd) Run(a *app) (err error) {
	until, err := holds(c.For)
	if err != nil {
		return err
	}
	in := io.Reader(a.stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close() // it was read only
		in = f
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		r, list, n := suppress.NewReader(in), []admin.Suppression(nil), 0
		flush := func() error {
			k, err := addSuppressions(ctx, api, list)
			n, list = n+k, list[:0]
			return err
		}
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return withCode(exitData, "%s: %v; %d entries before it are on the list", c.File, err, n)
			}
			one := admin.Suppression{Owner: e.Owner, Address: e.Address, Reason: e.Reason, Class: e.Class, Detail: e.Detail, Since: e.Since, Until: until}
			if one.Owner == "" {
				one.Owner = c.Owner
			}
			if !e.Until.IsZero() {
				one.Until = &e.Until
			}
			if list = append(list, one); len(list) == admin.MaxSuppressions {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := flush(); err != nil {
			return err
		}
		return a.done(added{n}, "%d on the lists", n)
	})
}

func (c suppressionExportCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		w := csv.NewWriter(a.stdout)
		if err := w.Write(suppress.Columns()); err != nil {
			return err
		}
		err := api.Suppressions(ctx, c.filter(), func(s admin.Suppression) error {
			e := suppress.Entry{Owner: s.Owner, Address: s.Address, Reason: s.Reason, Class: s.Class, Detail: s.Detail, Since: s.Since}
			if s.Until != nil {
				e.Until = *s.Until
			}
			return w.Write(e.Row())
		})
		w.Flush()
		return errors.Join(err, w.Error())
	})
}
