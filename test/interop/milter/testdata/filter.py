# A content filter by Debian's python3-aiosmtpd: it takes mail, marks it, refuses what says VIRUS, and gives it on to the port
# that the file in argv[1] names, with XFORWARD as it got it. Its own port goes to standard output.
import asyncio, smtplib, sys
from aiosmtpd.smtp import SMTP, syntax


class Filter(SMTP):
    forwarded = None

    @syntax('XFORWARD attributes')
    async def smtp_XFORWARD(self, arg):
        self.forwarded = ((self.forwarded or '') + ' ' + (arg or '')).strip()
        await self.push('250 2.0.0 Ok')


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses[:1] + ['250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE'] + responses[1:]

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('bob+refused@'):
            return '550 5.7.1 the filter does not like this recipient'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 Ok'

    async def handle_DATA(self, server, session, envelope):
        if b'VIRUS' in envelope.content:
            return '550 5.7.1 the filter found a virus'
        told = server.forwarded or 'nothing'
        server.forwarded = None

        def back():
            with smtplib.SMTP('127.0.0.1', int(open(sys.argv[1]).read())) as s:
                s.ehlo()
                if told != 'nothing' and s.has_extn('xforward'):
                    s.docmd('XFORWARD', told)
                s.sendmail(envelope.mail_from or '', envelope.rcpt_tos, ('X-Filtered: %s\r\n' % told).encode() + envelope.content)

        try:
            await asyncio.get_running_loop().run_in_executor(None, back)
        except Exception as e:
            return '451 4.3.0 cannot give it back: %s' % str(e).replace('\n', ' ')
        return '250 2.0.0 Ok: filtered'


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Filter(Handler(), enable_SMTPUTF8=True), '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
