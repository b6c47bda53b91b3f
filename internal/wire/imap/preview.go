package imap

// previewExtension is PREVIEW, RFC 8970. It is made at delivery, so LAZY gets the same at once.
func previewExtension() extension {
	return extension{
		capabilities: afterLogin("PREVIEW"),
		fetch: map[string]fetchItem{"PREVIEW": func(p *parser) fetchAttr {
			p.eatWord(" (LAZY)")
			return fetchAttr{name: "PREVIEW", want: WantPreview, write: func(c *conn, m *fetched) error {
				c.out.string(m.msg.Preview)
				return nil
			}}
		}},
	}
}
