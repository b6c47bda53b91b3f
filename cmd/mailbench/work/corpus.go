package work

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// SubjectWord stands in the subject of every hundredth message of a corpus, TextWord in the text of another hundredth; no
// other message has them.
const (
	SubjectWord = "quokka"
	TextWord    = "axolotl"
)

// What every so many messages of a corpus have.
const (
	needleEvery = 100
	unseenEvery = 10
	attachEvery = 5
	threadOf    = 4
)

const (
	vocabulary = 4000
	proseSize  = 256 << 10
)

// Corpus makes messages that look like mail: words in lines, subjects in threads, senders, every fifth with an
// attachment, nine of ten seen. Message n of the same seed and size is always the same but for its date, so what a
// search must find is known.
type Corpus struct {
	seed  uint64
	size  int
	prose string // text in lines of words
	noise string // lines of base64
	words []string
	begin time.Time
}

// NewCorpus makes one of messages of about size bytes, exactly so without attachment.
func NewCorpus(seed uint64, size int) *Corpus {
	rnd := rand.New(rand.NewPCG(seed, uint64(size)))
	c := &Corpus{seed: seed, size: size, begin: time.Now().Add(-365 * 24 * time.Hour)}
	syllables := strings.Fields("ba be bo da de di fa fo ga gi ha ke ki la le lo ma mi mo na ne no pa pe ra re ri sa se so ta te to va ve wa")
	for range vocabulary {
		w := ""
		for range 2 + rnd.IntN(3) {
			w += syllables[rnd.IntN(len(syllables))]
		}
		c.words = append(c.words, w)
	}
	var b strings.Builder
	for b.Len() < proseSize {
		line := ""
		for len(line) < 60 {
			line += c.words[rnd.IntN(vocabulary)] + " "
		}
		b.WriteString(strings.TrimSpace(line) + "\r\n")
	}
	c.prose = b.String()
	b.Reset()
	for b.Len() < proseSize {
		for range 76 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[rnd.IntN(64)])
		}
		b.WriteString("\r\n")
	}
	c.noise = b.String()
	return c
}

// InSubject tells how many of n messages have the SubjectWord.
func InSubject(n int64) int64 { return (n + needleEvery - 1) / needleEvery }

// InText tells how many of n messages have the TextWord.
func InText(n int64) int64 { return (n + needleEvery/2 - 1) / needleEvery }

// Message returns message n, from 0.
func (c *Corpus) Message(n int64) client.Message {
	rnd := rand.New(rand.NewPCG(c.seed, uint64(n)))
	word := func() string { return c.words[rnd.IntN(len(c.words))] }
	thread := rand.New(rand.NewPCG(c.seed+1, uint64(n/threadOf)))
	subject := c.words[thread.IntN(vocabulary)] + " " + c.words[thread.IntN(vocabulary)] + " " + c.words[thread.IntN(vocabulary)]
	if n%threadOf > 0 {
		subject = "Re: " + subject
	}
	if n%needleEvery == 0 {
		subject += " " + SubjectWord
	}
	var b strings.Builder
	b.Grow(c.size + 1024)
	fmt.Fprintf(&b, "Date: %s\r\nFrom: \"%s %s\" <%s@%s.example>\r\nTo: <bench@mailbench.invalid>\r\nSubject: %s\r\n",
		c.begin.Add(time.Duration(n)*time.Minute).Format("Mon, 02 Jan 2006 15:04:05 -0700"), word(), word(), word(), word(), subject)
	fmt.Fprintf(&b, "Message-ID: <%d.%d@mailbench.invalid>\r\n", n, c.seed)
	if n%threadOf > 0 {
		fmt.Fprintf(&b, "In-Reply-To: <%d.%d@mailbench.invalid>\r\n", n-1, c.seed)
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	text := ""
	if n%needleEvery == needleEvery/2 {
		text = "Have you seen the " + TextWord + " again?\r\n"
	}
	if n%attachEvery == attachEvery-1 {
		c.attached(&b, text, rnd)
	} else {
		b.WriteString("Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text)
		piece(&b, c.prose, c.size, rnd)
	}
	m := client.Message{Bytes: []byte(b.String())}
	if n%unseenEvery != 0 {
		m.Flags = `\Seen`
	}
	return m
}

func (c *Corpus) attached(b *strings.Builder, text string, rnd *rand.Rand) {
	const edge = "=_mailbench"
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%s", edge, edge, text)
	piece(b, c.prose, b.Len()+(c.size-b.Len())/4, rnd)
	fmt.Fprintf(b, "--%s\r\nContent-Type: application/octet-stream; name=\"data.bin\"\r\nContent-Disposition: attachment; filename=\"data.bin\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n", edge)
	piece(b, c.noise, c.size-len(edge)-8, rnd)
	fmt.Fprintf(b, "--%s--\r\n", edge)
}

// piece fills up to size bytes with whole lines of source, from one by chance, and a shorter one at the end.
func piece(b *strings.Builder, source string, size int, rnd *rand.Rand) {
	at := rnd.IntN(len(source) / 2)
	at += strings.IndexByte(source[at:], '\n') + 1
	for left := size - b.Len(); left >= 3; left = size - b.Len() {
		end := strings.IndexByte(source[at:], '\n')
		if end < 0 {
			at = 0
			continue
		}
		line := source[at : at+end+1]
		at += end + 1
		switch {
		case left == len(line)+1 || left == len(line)+2: // what follows would be too short for a line
			b.WriteString(line[:len(line)-5] + "\r\n")
		case left >= len(line):
			b.WriteString(line)
		default:
			b.WriteString(line[:left-2] + "\r\n")
		}
	}
}
