#!/bin/sh
# Domains and accounts of the old system. Read it before you run it: sh import.sh
# No password is in it. For each account: postrider account password ADDRESS; postrider account set --login ADDRESS
# (account add --stored-stdin takes passwords as Dovecot and shadow(5) store them). What exists already is passed over.
# Catch-all of catch.example.com: postrider domain set --catch-all ADDRESS catch.example.com
postrider domain add example.com
postrider domain add example.org
postrider account add --no-login anna@example.org
postrider account add --no-login bruno@example.org
postrider account add --no-login info@example.com
