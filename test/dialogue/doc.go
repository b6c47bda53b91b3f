// Package dialogue runs protocol scripts against servers, and holds the in-memory network that they run over.
//
// A script is a text file, one directive a line:
//
//	# comment             also empty lines
//	C: text               send text and CRLF
//	C> text\r\n           send these bytes exactly; Go escapes (\r \n \x00 \u00e9 \\)
//	C*1000: text          the same, repeated; C*1000> likewise
//	S: text               the next line is exactly text and ends with CRLF
//	S: /regexp/           the next line matches, whole
//	S...: text            skip lines until one is text (or matches /regexp/)
//	S> text\r\n           the next bytes are exactly these
//	S-silent              nothing has been sent that is not read yet (needs a synctest bubble)
//	S-close               the server closes the connection, sending nothing more
//	C-close               close our end
//	C-tls                 TLS handshake from our end; nothing may be unread before it
//	sleep 5m              virtual time under testing/synctest
//
// A named group in a matching regexp sets a variable: S: /250 queued as (?P<id>\S+)/ makes ${id} known to the lines
// below (in regexps it is quoted). C2: S2: … C9: S9: speak on further connections, opened at first use.
//
// Files: script.go (parse and play), pipe.go (buffered net.Conn pair, listener), tls.go (a throw-away certificate).
// A failure names file and line of the script. The package is for tests only.
package dialogue
