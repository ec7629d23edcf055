# What root alone may read is handed over by systemd; what is named in the configuration has to be closed to others.
check "the daemon cannot read the secret itself" refused as staticstored "cat /etc/staticstored/appsecret"

starts_with() { guest systemctl reset-failed staticstored; guest systemctl restart staticstored 2>/dev/null || true; is ExecMainStatus "$1"; }
printf %s "$secret" | put /var/lib/staticstored/open
guest chown staticstored /var/lib/staticstored/open
guest chmod 644 /var/lib/staticstored/open
drop_in secret Environment=STATICSTORED_COMPONENT__APPSECRET_FILE=/var/lib/staticstored/open
check "a secret that everybody can read is refused" starts_with 78
check "with the command that mends it" logged 'chmod o= /var/lib/staticstored/open'
guest chmod o= /var/lib/staticstored/open
check "which does" starts_with 0
drop_in secret
guest rm /var/lib/staticstored/open

# As docs/OPERATIONS.md says it, with a key that stays on the machine.
guest systemd-creds setup >/dev/null 2>&1
guest systemd-creds encrypt --name=appsecret /etc/staticstored/appsecret /etc/staticstored/appsecret.cred 2>/dev/null
drop_in encrypted LoadCredential= SetCredential= LoadCredentialEncrypted=appsecret:/etc/staticstored/appsecret.cred
guest mv /etc/staticstored/appsecret /root/appsecret
check "an encrypted secret is decrypted for it" starts_with 0
check "and is no clear text on the disk" eval '! guest grep -q "$secret" /etc/staticstored/appsecret.cred'
guest mv /root/appsecret /etc/staticstored/appsecret
guest rm /etc/staticstored/appsecret.cred
drop_in encrypted
guest systemctl restart staticstored
check "and it runs again as it is shipped" is_active
