#!/bin/sh
# Domains and accounts of the old system. Read it before you run it: sh import.sh
# No password is in it. For each account: postrider account password ADDRESS; postrider account set --login ADDRESS
# (account add --stored-stdin takes passwords as Dovecot and shadow(5) store them). What exists already is passed over.
# The accounts of mysql:/etc/postfix/mysql-virtual-mailbox-maps.cf are in a database: list them there, and add each as below.
