package thunderbird

// helpers stand before every script: waiting as people do, for what they see.
const helpers = `
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout: later } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const pause = ms => new Promise(go => later(go, ms));
async function until(what, test, seconds = 60) {
  for (let end = Date.now() + seconds * 1000; Date.now() < end; await pause(50)) {
    const v = await test();
    if (v) return v;
  }
  throw new Error("waited in vain for " + what);
}
function type(input, text) {
  input.focus();
  input.value = text;
  input.dispatchEvent(new window.Event("input", { bubbles: true }));
  input.dispatchEvent(new window.Event("change", { bubbles: true }));
}
const about3Pane = () => document.getElementById("tabmail").currentAbout3Pane;
const folder = name => until("the folder " + name, () => {
  const root = MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap").incomingServer.rootFolder;
  return root.descendants.find(f => f.name.toLowerCase() == name.toLowerCase() || f.onlineName == name);
});
const header = (f, subject) => {
  for (const h of f.messages) if (h.mime2DecodedSubject == subject) return h;
  throw new Error("no message " + subject + " in " + f.name);
};
async function show(f) {
  const pane = await until("the main window", about3Pane);
  pane.displayFolder(f.URI);
  await until("the folder's list", () => pane.gFolder == f && pane.gDBView);
}
`

// setUp goes through the dialog that a new profile opens: name and address, then the password.
const setUp = `
const [name, address, password] = args;
const hub = (await until("the account hub", () => document.querySelector("account-hub-container")?.modal));
const mail = await until("its first page", () => hub.querySelector("account-hub-email"));
const step = async (name, field) => {
  const page = await until(name, () => { const p = mail.querySelector(name); return p && !p.hidden && (!field || p.querySelector(field)) && p; });
  return page;
};
const forward = async () => {
  const button = await until("the button to go on", () => { const b = mail.querySelector("#forward"); return b && !b.disabled && !b.hidden && b; });
  button.click();
};
const first = await step("email-auto-form", "#email");
type(first.querySelector("#realName"), name);
type(first.querySelector("#email"), address);
await forward();
const found = await step("email-config-found");
const seen = found.textContent.replace(/\s+/g, " ");
await forward();
const secret = await step("email-password-form", "#password");
type(secret.querySelector("#password"), password);
secret.querySelector("#rememberPassword").checked = true;
await forward();
await until("the account", () => MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap"));
await until("the last page", () => { const p = mail.querySelector("email-added-success"); return p && !p.hidden; });
await pause(500); // it slides in: for the screenshot
return seen;
`

// finish leaves the dialog and shows the inbox.
const finish = `
document.querySelector("account-hub-container").modal.querySelector("account-hub-email #forward").click();
await until("the dialog to close", () => !document.querySelector("account-hub-container").modal.open);
await show(await folder("INBOX"));
`

// settingsNow tells the settings that Thunderbird has now.
const settingsNow = `
const server = MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap").incomingServer;
const smtp = MailServices.outgoingServer.defaultServer;
return [server.type, server.hostName ?? server.hostname, server.port, server.socketType, server.authMethod, server.username,
  smtp.serverURI.host, smtp.serverURI.port, smtp.socketType, smtp.authMethod, smtp.username].join(" ");
`

// write opens the window for a new message, fills it, and presses the button: to send now, or later.
const write = `
const [to, subject, body, command] = args;
const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
Object.assign(fields, { to, subject, body });
params.type = Ci.nsIMsgCompType.New;
params.format = Ci.nsIMsgCompFormat.PlainText;
params.composeFields = fields;
params.identity = MailServices.accounts.defaultAccount.defaultIdentity;
MailServices.compose.OpenComposeWindowWithParams(null, params);
const win = await until("the window to write in", () => { const w = Services.wm.getMostRecentWindow("msgcompose"); return w && w.document.readyState == "complete" && w.gMsgCompose && w.defaultController?.isCommandEnabled(command) && w; });
win.goDoCommand(command);
await until("the window to close", () => win.closed);
`

// arrive waits until a folder has so many messages, without anybody asking for mail.
const arrive = `
const [name, count] = args;
const f = await folder(name);
await until(count + " messages in " + name, () => f.getTotalMessages(false) == count);
`

// read shows a message of the folder on display, by its subject, and returns the text that a person sees.
const read = `
const [subject] = args;
const pane = about3Pane();
const view = await until("the list", () => pane.gDBView);
const row = await until("the message", () => {
  for (let i = 0; i < view.rowCount; i++) if (view.getMsgHdrAt(i).mime2DecodedSubject == subject) return i + 1;
});
pane.threadTree.selectedIndex = row - 1;
const text = await until("its text", () => {
  const browser = pane.messageBrowser?.contentWindow?.getMessagePaneBrowser?.();
  const text = browser?.contentDocument?.body?.innerText ?? "";
  return text.trim() && text;
});
await pause(300);
return text;
`

// file makes a folder and moves a message into it.
const file = `
const [subject, name] = args;
const inbox = await folder("INBOX"), parent = inbox.server.rootFolder;
if (!parent.containsChildNamed(name)) parent.createSubfolder(name, about3Pane().msgWindow ?? window.msgWindow);
const target = await folder(name);
MailServices.copy.copyMessages(inbox, [header(inbox, subject)], target, true, null, window.msgWindow, true);
`

// search asks the server for messages whose body has a word, and returns their subjects.
const search = `
const [name, word] = args;
const f = await folder(name);
const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, f);
const term = session.createTerm(), value = term.value;
term.attrib = value.attrib = Ci.nsMsgSearchAttrib.Body;
value.str = word;
term.value = value;
term.op = Ci.nsMsgSearchOp.Contains;
session.appendTerm(term);
const hits = [], done = Promise.withResolvers();
session.registerListener({ onNewSearch() {}, onSearchHit(h) { hits.push(h.mime2DecodedSubject); }, onSearchDone(status) { done.resolve(status); } });
session.search(null);
const status = await done.promise;
if (!Components.isSuccessCode(status)) throw new Error("search: " + status);
return hits.sort();
`

// mark puts the star on a message.
const mark = `
const [name, subject] = args;
const f = await folder(name);
f.markMessagesFlagged([header(f, subject)], true);
`

// offline and online press the plug in the corner.
const offline = `
document.getElementById("offline-status").click();
await until("the line to be cut", () => Services.io.offline);
`

const online = `
document.getElementById("offline-status").click();
await until("the line to be back", () => !Services.io.offline);
`

// fetch presses the button to get messages.
const fetch = `
const button = about3Pane().document.getElementById("folderPaneGetMessages");
await until("the button", () => !button.disabled);
button.click();
`

// stars are the subjects of a folder's messages that have one, as Thunderbird knows it.
const stars = `
const f = await folder(args[0]);
await pause(500); // rows change their colours slowly: for the screenshot
return Array.from(f.messages).filter(h => h.isFlagged).map(h => h.mime2DecodedSubject);
`
