/* Making and changing documents: what every one has, and what the controller itself learns. */
#include "node/controller_json_int.h"

int zt_ctl_network_defaults(json_t *doc, uint64_t nwid, int64_t wall_ms)
{
    struct edit e = {doc, false};
    set_missing(&e, "private", json_true());
    set_missing(&e, "creationTime", json_integer(wall_ms));
    set_missing(&e, "name", json_string(""));
    set_missing(&e, "multicastLimit", json_integer(32));
    set_missing(&e, "enableBroadcast", json_true());
    set_missing(&e, "v4AssignMode", json_pack("{s:b}", "zt", 0));
    set_missing(&e, "v6AssignMode", json_pack("{s:b,s:b,s:b}", "rfc4193", 0, "zt", 0, "6plane", 0));
    set_missing(&e, "authTokens", json_pack("[n]"));
    set_missing(&e, "capabilities", json_array());
    set_missing(&e, "tags", json_array());
    set_missing(&e, "routes", json_array());
    set_missing(&e, "ipAssignmentPools", json_array());
    set_missing(&e, "mtu", json_integer(ZT_NET_MTU_DEFAULT));
    set_missing(&e, "remoteTraceTarget", json_null());
    set(&e, "remoteTraceLevel", json_integer(0)); /* every time, as the reference does */
    set_missing(&e, "rulesSource", json_string(""));
    set_missing(&e, "rules",
                json_pack("[{s:b,s:b,s:s}]", "not", 0, "or", 0, "type", "ACTION_ACCEPT"));
    set_missing(&e, "dns", json_array());
    set_missing(&e, "ssoEnabled", json_false());
    set_missing(&e, "clientId", json_string(""));
    set_missing(&e, "authorizationEndpoint", json_string(""));
    set(&e, "objtype", json_string("network"));
    set(&e, "id", hex_text(nwid, 16));
    set(&e, "nwid", hex_text(nwid, 16));
    static const char *const not_kept[] = {"clock", "authorizedMemberCount", "activeMemberCount",
                                           "totalMemberCount", "lastModified"};
    for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++)
        (void)json_object_del(doc, not_kept[i]);
    return done(&e);
}

int zt_ctl_member_defaults(json_t *doc, uint64_t nwid, uint64_t addr, int64_t wall_ms)
{
    struct edit e = {doc, false};
    set_missing(&e, "authorized", json_false());
    set_missing(&e, "ssoExempt", json_false());
    set_missing(&e, "ipAssignments", json_array());
    set_missing(&e, "activeBridge", json_false());
    set_missing(&e, "tags", json_array());
    set_missing(&e, "capabilities", json_array());
    set_missing(&e, "creationTime", json_integer(wall_ms));
    set_missing(&e, "noAutoAssignIps", json_false());
    set_missing(&e, "revision", json_integer(0));
    set_missing(&e, "lastDeauthorizedTime", json_integer(0));
    set_missing(&e, "lastAuthorizedTime", json_integer(0));
    set_missing(&e, "lastAuthorizedCredentialType", json_null());
    set_missing(&e, "lastAuthorizedCredential", json_null());
    set_missing(&e, "authenticationExpiryTime", json_integer(0));
    set_missing(&e, "vMajor", json_integer(-1));
    set_missing(&e, "vMinor", json_integer(-1));
    set_missing(&e, "vRev", json_integer(-1));
    set_missing(&e, "vProto", json_integer(-1));
    set_missing(&e, "remoteTraceTarget", json_null());
    set_missing(&e, "remoteTraceLevel", json_integer(0));
    set(&e, "objtype", json_string("member"));
    set(&e, "id", hex_text(addr, 10));
    set(&e, "address", hex_text(addr, 10));
    set(&e, "nwid", hex_text(nwid, 16));
    static const char *const not_kept[] = {"clock",
                                           "physicalAddr",
                                           "recentLog",
                                           "lastModified",
                                           "lastRequestMetaData",
                                           "authenticationURL",
                                           "authenticationClientID"};
    for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++)
        (void)json_object_del(doc, not_kept[i]);
    return done(&e);
}

int zt_ctl_member_write(json_t *doc, const struct zt_ctl_member *m, unsigned fields,
                        enum zt_ctl_credential credential, const char *token)
{
    static const char *const credentials[] = {
        [ZT_CTL_CREDENTIAL_NONE] = NULL,
        [ZT_CTL_CREDENTIAL_API] = "api",
        [ZT_CTL_CREDENTIAL_PUBLIC] = "public",
        [ZT_CTL_CREDENTIAL_TOKEN] = "token",
    };
    struct edit e = {doc, false};
    if (fields & ZT_CHANGED_IDENTITY) {
        struct zt_identity id = {.addr = m->addr};
        char text[ZT_IDENTITY_STR];
        memcpy(id.pub, m->pub, sizeof id.pub);
        set(&e, "identity", json_string(zt_identity_format(&id, false, text)));
    }
    if (fields & ZT_CHANGED_AUTHORIZED) {
        const char *type = credentials[credential];
        json_t *shown = credential == ZT_CTL_CREDENTIAL_TOKEN ? json_string(token) : NULL;
        set(&e, "authorized", json_boolean(m->authorized));
        set(&e, "lastAuthorizedTime", json_integer(m->authorized_ms));
        set(&e, "lastAuthorizedCredentialType", type != NULL ? json_string(type) : json_null());
        set(&e, "lastAuthorizedCredential", shown != NULL ? shown : json_null());
    }
    if (fields & ZT_CHANGED_VERSION) {
        set(&e, "vMajor", json_integer(m->version_major));
        set(&e, "vMinor", json_integer(m->version_minor));
        set(&e, "vRev", json_integer(m->version_rev));
        set(&e, "vProto", json_integer(m->version_proto));
    }
    if (fields & ZT_CHANGED_IPS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->nips; i++)
            e.failed |= json_array_append_new(list, ip_text(&m->ips[i])) != 0;
        set(&e, "ipAssignments", list);
    }
    if (fields & ZT_CHANGED_CAPS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->ncaps; i++)
            e.failed |= json_array_append_new(list, integer(m->caps[i])) != 0;
        set(&e, "capabilities", list);
    }
    if (fields & ZT_CHANGED_TAGS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->ntags; i++)
            e.failed |= json_array_append_new(list, json_pack("[I,I]", (json_int_t)m->tags[i].id,
                                                              (json_int_t)m->tags[i].value)) != 0;
        set(&e, "tags", list);
    }
    return done(&e);
}

bool zt_ctl_differ(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    size_t na = json_object_size(a) - (json_object_get(a, "revision") != NULL);
    size_t nb = json_object_size(b) - (json_object_get(b, "revision") != NULL);
    if (na != nb)
        return true;
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
    {
        if (strcmp(key, "revision") != 0 && !json_equal(v, json_object_get(b, key)))
            return true;
    }
    return false;
}

int zt_ctl_count_revision(json_t *doc)
{
    struct edit e = {doc, false};
    set(&e, "revision", integer(zt_json_u64(json_object_get(doc, "revision"), 0) + 1));
    return done(&e);
}
