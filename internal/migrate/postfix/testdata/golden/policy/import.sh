#!/bin/sh
# Domains and accounts of the old system. Read it before you run it: sh import.sh
# No password is in it. For each account: postrider account password ADDRESS; postrider account set --login ADDRESS
# (account add --stored-stdin takes passwords as Dovecot and shadow(5) store them). What exists already is passed over.
# Users of the system log in with its passwords if auth.system says so: "shadow" or "saslauthd".
postrider account add --system anna@mx.example.org
postrider account add --system bruno@mx.example.org
