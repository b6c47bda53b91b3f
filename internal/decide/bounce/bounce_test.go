package bounce

import (
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// report reads a reply as it stands on the wire: "550-5.1.1 text".
func report(p Phase, reply string) Report {
	r := Report{Phase: p, Text: reply}
	r.Code, _ = strconv.Atoi(reply[:min(3, len(reply))])
	if len(reply) > 4 {
		word, rest, _ := strings.Cut(reply[4:], " ")
		if part := strings.Split(word, "."); len(part) == 3 {
			class, err1 := strconv.Atoi(part[0])
			subject, err2 := strconv.ParseUint(part[1], 10, 16)
			detail, err3 := strconv.ParseUint(part[2], 10, 16)
			if err1 == nil && err2 == nil && err3 == nil {
				r.Enhanced = status.Enhanced{Class: status.Class(class), Subject: uint16(subject), Detail: uint16(detail)}
				r.Text = rest
			}
		}
	}
	return r
}

// Replies as the providers and servers give them; addresses and ids are made up.
func TestReplies(t *testing.T) {
	for _, c := range []struct {
		phase  Phase
		reply  string
		class  flow.Class
		signal flow.Signal
	}{
		{End, "250 2.0.0 OK  1700000000 d9-20020a1spf-gsmtp", flow.ClassNone, flow.Well},

		// Google
		{Rcpt, "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces.", flow.ClassUnknown, flow.Silent},
		{Rcpt, "550 5.2.1 The email account that you tried to reach is inactive.", flow.ClassInactive, flow.Silent},
		{Rcpt, "550 5.2.1 The email account that you tried to reach is disabled.", flow.ClassInactive, flow.Silent},
		{Rcpt, "452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp", flow.ClassFull, flow.Silent},
		{Rcpt, "552 5.2.2 The email account that you tried to reach is over quota.", flow.ClassFull, flow.Silent},
		{Rcpt, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", flow.ClassThrottled, flow.Silent},
		{End, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address [192.0.2.1]. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.", flow.ClassThrottled, flow.Slower},
		{Greeting, "421 4.7.0 Try again later, closing connection. (EHLO)", flow.ClassThrottled, flow.Slower},
		{End, "550 5.7.1 [192.0.2.1 12] Gmail has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", flow.ClassContent, flow.Silent},
		{End, "550 5.7.1 Gmail has detected that this message is likely suspicious due to the very low reputation of the sending IP address.", flow.ClassBlocked, flow.Refuses},
		{End, "550 5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy.", flow.ClassPolicy, flow.Silent},
		{End, "421 4.7.32 Your email has been rate limited because the From: header (RFC5322) in this message isn't aligned with either the authenticated SPF or DKIM organizational domain.", flow.ClassThrottled, flow.Slower},
		{End, "550 5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding forward DNS entry does not match the sending IP.", flow.ClassPolicy, flow.Silent},
		{Data, "552 5.3.4 Your message exceeded Google's message size limits.", flow.ClassSize, flow.Silent},
		{End, "552 5.7.0 This message was blocked because its content presents a potential security issue.", flow.ClassContent, flow.Silent},
		{Mail, "550 5.4.5 Daily user sending quota exceeded.", flow.ClassThrottled, flow.Silent},

		// Microsoft
		{Mail, "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", flow.ClassBlocked, flow.Refuses},
		{Greeting, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)", flow.ClassThrottled, flow.Slower},
		{Mail, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", flow.ClassThrottled, flow.Slower},
		{Mail, "421 RP-001 (SNT004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed.", flow.ClassThrottled, flow.Slower},
		{Rcpt, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/", flow.ClassBlocked, flow.Refuses},
		{Rcpt, "550 5.4.1 Recipient address rejected: Access denied. [DB5EUR03FT012.eop-EUR03.prod.protection.outlook.com]", flow.ClassUnknown, flow.Silent},
		{Rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", flow.ClassUnknown, flow.Silent},
		{End, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", flow.ClassUnknown, flow.Silent},
		{End, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", flow.ClassFull, flow.Silent},
		{End, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", flow.ClassThrottled, flow.Silent},
		{End, "550 5.7.509 Access denied, sending domain example.org does not pass DMARC verification and has a DMARC policy of reject.", flow.ClassPolicy, flow.Silent},
		{End, "550 5.7.515 Access denied, sending domain example.org doesn't meet the required authentication level.", flow.ClassPolicy, flow.Silent},
		{Rcpt, "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", flow.ClassBlocked, flow.Refuses},
		{End, "554 5.4.14 Hop count exceeded - possible mail loop ATTR34", flow.ClassLoop, flow.Silent},
		{Mail, "452 4.3.1 Insufficient system resources (UsedVersionBuckets[\\Exchange])", flow.ClassThrottled, flow.Slower},

		// Yahoo
		{Greeting, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", flow.ClassThrottled, flow.Slower},
		{Mail, "421 4.7.1 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.", flow.ClassBlocked, flow.Refuses},
		{Greeting, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list; see http://postmaster.yahoo.com/550-bl23.html", flow.ClassBlocked, flow.Refuses},
		{Rcpt, "451 4.7.1 [GL01] Message from (192.0.2.1) temporarily deferred - 4.16.50.", flow.ClassGreylisted, flow.Silent},
		{End, "554 delivery error: dd This user doesn't have a yahoo.com account (someone@yahoo.com) [0] - mta1001.mail.ne1.yahoo.com", flow.ClassUnknown, flow.Silent},
		{Rcpt, "554 30 Sorry, your message to someone@yahoo.com cannot be delivered. This mailbox is disabled (554.30).", flow.ClassInactive, flow.Silent},
		{End, "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to authenticate with either SPF or DKIM.", flow.ClassPolicy, flow.Silent},
		{End, "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", flow.ClassPolicy, flow.Silent},

		// Apple
		{Rcpt, "550 5.1.6 recipient no longer on server: someone@icloud.com", flow.ClassUnknown, flow.Silent},
		{Rcpt, "552 5.2.2 <someone@icloud.com>: user is over quota", flow.ClassFull, flow.Silent},
		{End, "554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137", flow.ClassContent, flow.Silent},
		{Greeting, "550 5.7.0 Your server IP address is rejected by the Proofpoint Dynamic Reputation service; see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1", flow.ClassBlocked, flow.Refuses},

		// Others
		{Greeting, "554 gmx.net (mxgmx101) Nemesis ESMTP Service not available No SMTP service IP address is block listed.", flow.ClassBlocked, flow.Refuses},
		{Greeting, "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to clarify.)", flow.ClassBlocked, flow.Refuses},
		{Greeting, "421 mwinf5c04 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]", flow.ClassThrottled, flow.Slower},
		{Rcpt, "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=abc", flow.ClassContent, flow.Silent},
		{Rcpt, "451 Internal resources temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [abc]", flow.ClassGreylisted, flow.Silent},
		{Greeting, "550 Connection frequency limited. http://service.mail.qq.com/cgi-bin/help?id=20022", flow.ClassThrottled, flow.Slower},

		// Server software
		{Rcpt, "450 4.2.0 <someone@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.org.html", flow.ClassGreylisted, flow.Silent},
		{Rcpt, "451 4.7.1 Greylisting in action, please come back later", flow.ClassGreylisted, flow.Silent},
		{Rcpt, "450 4.7.1 Please try again later", flow.ClassGreylisted, flow.Silent},
		{Rcpt, "550 5.1.1 <someone@example.org>: Recipient address rejected: User unknown in virtual mailbox table", flow.ClassUnknown, flow.Silent},
		{Rcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", flow.ClassBlocked, flow.Refuses},
		{Rcpt, "554 5.7.1 <someone@example.org>: Relay access denied", flow.ClassPolicy, flow.Silent},
		{Rcpt, "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", flow.ClassPolicy, flow.Silent},
		{Rcpt, "450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", flow.ClassPolicy, flow.Silent},
		{Mail, "552 5.3.4 Message size exceeds fixed limit", flow.ClassSize, flow.Silent},
		{Rcpt, "452 4.5.3 Error: too many recipients", flow.ClassThrottled, flow.Silent},
		{Greeting, "421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", flow.ClassThrottled, flow.Slower},
		{Rcpt, "550 Unrouteable address", flow.ClassUnknown, flow.Silent},
		{Rcpt, "550-Verification failed for <a@b.example>\nUnrouteable address\nSender verify failed", flow.ClassPolicy, flow.Silent},
		{Rcpt, "550 sorry, no mailbox here by that name. (#5.1.1)", flow.ClassUnknown, flow.Silent},
		{Rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", flow.ClassDomain, flow.Silent},
		{Rcpt, "550 5.1.1 User not listed in Domino Directory", flow.ClassUnknown, flow.Silent},
		{End, "452 4.2.2 <someone@example.org> Quota exceeded (mailbox for user is full)", flow.ClassFull, flow.Silent},
		{End, "554 5.7.0 Reject, id=00123-01 - INFECTED: Eicar-Signature", flow.ClassContent, flow.Silent},
		{End, "554 5.7.1 Spam message rejected", flow.ClassContent, flow.Silent},
		{Mail, "530 5.7.0 Must issue a STARTTLS command first", flow.ClassTLS, flow.Silent},
		{Mail, "530 5.7.1 Authentication required", flow.ClassAuth, flow.Silent},
		{Auth, "535 5.7.8 Error: authentication failed: authentication failure", flow.ClassAuth, flow.Slower},
		{TLS, "454 4.7.0 TLS not available due to local problem", flow.ClassTLS, flow.Slower},
		{Hello, "502 5.5.2 Error: command not recognized", flow.ClassProtocol, flow.Slower},
		{Rcpt, "556 5.1.10 Recipient address has null MX", flow.ClassDomain, flow.Silent},
		{End, "451 4.3.0 Error: queue file write error", flow.ClassOther, flow.Silent},
		{Data, "421 4.3.2 Service shutting down", flow.ClassOther, flow.Slower},
		{Greeting, "554 No SMTP service here", flow.ClassBlocked, flow.Refuses},

		// Somebody's address is nobody's reason.
		{Rcpt, "550 <spamhaus-quota-greylist@virus.example> no", flow.ClassOther, flow.Silent},
		{Rcpt, "550 dmarc@example.org: no", flow.ClassOther, flow.Silent},
		{Rcpt, "550 no, x9spf2xspam-gsmtp", flow.ClassOther, flow.Silent},
		{Rcpt, "550", flow.ClassOther, flow.Silent},
	} {
		class, sig := Classify(report(c.phase, c.reply))
		if class != c.class || sig != c.signal {
			t.Errorf("%s\n got %s, %d; want %s, %d", c.reply, class, sig, c.class, c.signal)
		}
	}
}

// Without a reply it is the phase that counts, and our own enhanced code.
func TestSilence(t *testing.T) {
	code := func(class status.Class, subject, detail uint16) status.Enhanced {
		return status.Enhanced{Class: class, Subject: subject, Detail: detail}
	}
	for _, c := range []struct {
		phase    Phase
		enhanced status.Enhanced
		class    flow.Class
		signal   flow.Signal
	}{
		{DNS, code(4, 4, 3), flow.ClassDNS, flow.Silent},
		{DNS, code(5, 1, 2), flow.ClassDomain, flow.Silent},
		{DNS, code(5, 1, 10), flow.ClassDomain, flow.Silent},
		{DNS, code(5, 4, 6), flow.ClassLoop, flow.Silent},
		{Connect, code(4, 4, 1), flow.ClassNetwork, flow.Unreachable},
		{Greeting, code(4, 4, 2), flow.ClassNetwork, flow.Unreachable},
		{Hello, code(4, 4, 2), flow.ClassNetwork, flow.Unreachable},
		{TLS, code(4, 7, 5), flow.ClassTLS, flow.Slower},
		{Mail, code(5, 7, 30), flow.ClassTLS, flow.Silent},
		{Mail, code(5, 6, 7), flow.ClassProtocol, flow.Silent},
		{Data, code(4, 4, 2), flow.ClassNetwork, flow.Slower},
		{End, code(4, 4, 2), flow.ClassNetwork, flow.Slower},
	} {
		if class, sig := Classify(Report{Phase: c.phase, Enhanced: c.enhanced, Text: "spamhaus"}); class != c.class || sig != c.signal {
			t.Errorf("phase %d, %s: %s, %d", c.phase, c.enhanced, class, sig)
		}
	}
}

// Whatever a host says, there is a class, no refusal counts as success, and addresses change nothing.
func FuzzClassify(f *testing.F) {
	f.Fuzz(func(t *testing.T, phase uint8, code uint16, subject, detail uint16, text string) {
		r := Report{Phase: Phase(phase) % (End + 1), Code: int(code % 600), Text: text,
			Enhanced: status.Enhanced{Class: status.Class(code / 100 % 6), Subject: subject, Detail: detail}}
		class, sig := Classify(r)
		positive := r.Code/100 == 2 || r.Code/100 == 3
		if positive != (class == flow.ClassNone) || positive != (sig == flow.Well) {
			t.Fatalf("%+v: %s, %d", r, class, sig)
		}
		if class == flow.ClassBlocked && sig != flow.Refuses || sig == flow.Unreachable && r.Code != 0 {
			t.Fatalf("%+v: %s, %d", r, class, sig)
		}
		if r.Code != 0 && len(text) < maxText/2 {
			r.Text = "<spamhaus@virus.example> " + text
			if c, s := Classify(r); !strings.Contains(text, "<>") && !strings.HasPrefix(text, " ") && (c != class || s != sig) {
				t.Fatalf("%q: %s, %d; with an address in front %s, %d", text, class, sig, c, s)
			}
		}
	})
}
