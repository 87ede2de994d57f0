/* SPDX-License-Identifier: MIT */
/* A self-signed certificate for TLS tests, so that no test depends on the openssl program or on a certificate that
 * expires. */
#include "base/error.h"
#include "testkit/testkit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static X509 *sign(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    if (certificate == NULL)
        return NULL;
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_EXTENSION *authority = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    bool good = X509_set_version(certificate, 2) && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), 3600 * 24 * 30) != NULL &&
                X509_set_pubkey(certificate, key) &&
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"127.0.0.1", -1, -1, 0) &&
                X509_set_issuer_name(certificate, name) && names != NULL && authority != NULL &&
                X509_add_ext(certificate, names, -1) && X509_add_ext(certificate, authority, -1) &&
                X509_sign(certificate, key, EVP_sha256()) > 0;
    X509_EXTENSION_free(names);
    X509_EXTENSION_free(authority);
    if (good)
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* A file of its own that the server's user may read, and for the key nobody else. */
static FILE *create(const char *path, mode_t mode, const struct pgdbm__identity *identity)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return NULL;
    FILE *file = fchown(fd, identity->uid, identity->gid) == 0 && fchmod(fd, mode) == 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL)
        close(fd);
    return file;
}

pgdbm_status pgdbm__certificate_make(const char *certificate_path, const char *key_path,
                                     const struct pgdbm__identity *identity, pgdbm_error *err)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = key != NULL ? sign(key) : NULL;
    FILE *key_file = certificate != NULL ? create(key_path, 0600, identity) : NULL;
    FILE *certificate_file = key_file != NULL ? create(certificate_path, 0644, identity) : NULL;
    bool good = certificate_file != NULL && PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) &&
                PEM_write_X509(certificate_file, certificate);
    if (key_file != NULL)
        good = fclose(key_file) == 0 && good;
    if (certificate_file != NULL)
        good = fclose(certificate_file) == 0 && good;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good ? PGDBM_OK
                : pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot make a certificate in %.300s", certificate_path);
}
