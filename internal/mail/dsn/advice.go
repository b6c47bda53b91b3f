package dsn

// advice is what an outcome means to the sender, in lines.
type advice struct {
	what, todo []string
}

// advice looks at the enhanced status code, RFC 3463 §3 and the registry that RFC 5248 started.
func (p *Recipient) advice() advice {
	switch p.Action {
	case Delivered:
		return advice{what: []string{"The message is in the recipient's mailbox."}}
	case Relayed:
		return advice{what: []string{"The message was handed to a mail system that sends no reports of delivery."}}
	case Expanded:
		return advice{what: []string{"The address is a list; the message went on to its members."}}
	}
	a := explain(p.Status.Subject, p.Status.Detail)
	if p.Action == Delayed {
		a.todo = nil // nothing to do but wait
	}
	return a
}

func explain(subject, detail uint16) advice {
	switch subject {
	case 1:
		return explainAddress(detail)
	case 2:
		return explainMailbox(detail)
	case 3:
		if detail == 4 {
			return tooLarge()
		}
		return advice{[]string{"The recipient's mail system cannot take the message at present."}, []string{"Please try again later."}}
	case 4:
		return explainNetwork(detail)
	case 6:
		return advice{[]string{"The recipient's mail system cannot handle the form of the message."},
			[]string{"Sending it as plain text, or without attachments, may help."}}
	case 7:
		return explainPolicy(detail)
	}
	return advice{what: []string{"The mail system of the recipient did not take the message."}}
}

func explainAddress(detail uint16) advice {
	check := []string{"Please check the address for typing mistakes and send the message again."}
	switch detail {
	case 2, 10:
		return advice{[]string{"The domain of the address does not exist or takes no mail."}, check}
	case 6:
		return advice{[]string{"The mailbox has moved."}, []string{"Please ask the recipient for the new address."}}
	case 7, 8:
		return advice{[]string{"The address of the sender was refused."}, []string{"Please check your own address in your mail program."}}
	}
	return advice{[]string{"The address does not exist there."}, check}
}

func explainMailbox(detail uint16) advice {
	switch detail {
	case 1:
		return advice{[]string{"The mailbox is disabled."}, []string{"Please reach the recipient some other way."}}
	case 2:
		return advice{[]string{"The mailbox is full."}, []string{"Please tell the recipient some other way, or try again later."}}
	case 3:
		return tooLarge()
	}
	return advice{what: []string{"The mailbox did not take the message."}}
}

func tooLarge() advice {
	return advice{[]string{"The message is too large for the recipient's mail system."},
		[]string{"Please send it without large attachments, or pass them on as links."}}
}

func explainNetwork(detail uint16) advice {
	switch detail {
	case 3, 4:
		return advice{[]string{"The way to the recipient's mail system could not be found."},
			[]string{"Please check the part of the address after the @."}}
	case 6:
		return advice{[]string{"The message goes round in a circle between mail systems."},
			[]string{"This is a mistake in their settings: please tell the postmaster there."}}
	case 7:
		return advice{[]string{"The message could not be delivered in all the time we tried."}, []string{"Please try again later."}}
	}
	return advice{[]string{"The recipient's mail system could not be reached."}, []string{"Please try again later."}}
}

func explainPolicy(detail uint16) advice {
	switch {
	case detail >= 20 && detail <= 29:
		return advice{[]string{"The recipient's mail system could not verify who sent the message."},
			[]string{"Please forward this report to the postmaster of your own domain."}}
	case detail == 2 || detail == 3:
		return advice{[]string{"You are not allowed to send to this list or group."}, []string{"Please ask its owner."}}
	}
	return advice{[]string{"The recipient's mail system refused the message by its rules."},
		[]string{"If you think that is a mistake, please forward this report to the postmaster there."}}
}
