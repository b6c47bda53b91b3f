package sqltab

import "strings"

// unquoted tells whether a part of the key stands in a query where quoting does not protect it: outside of '…', or in strings
// and names of other kinds that end otherwise. With backslashes "…" is a string too, and \ in a string is read by the engine.
func unquoted(query string, backslashes bool) bool {
	var in byte // the quote that the place is in; 'E' for PostgreSQL's E'…'
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case c == '%' && i+1 < len(query):
			i++
			if query[i] != '%' && in != '\'' && !(backslashes && in == '"') {
				return true
			}
		case c == '\\' && (in == 'E' || backslashes && in != 0):
			i++
		case in == 0 && c == '\'' && !backslashes && endsInE(query[:i]):
			in = 'E'
		case in == 0 && (c == '\'' || c == '"' || c == '`'):
			in = c
		case c == in || c == '\'' && in == 'E':
			in = 0
		}
	}
	return false
}

// endsInE tells that a quote after this text begins PostgreSQL's E'…', in which backslashes count.
func endsInE(before string) bool {
	n := len(before) - 1
	if n < 0 || before[n]|0x20 != 'e' {
		return false
	}
	return n == 0 || strings.IndexByte(" \t\n(,=<>|+", before[n-1]) >= 0
}
