/unclosed REJECT
/ok/ WARN
/(/ REJECT
