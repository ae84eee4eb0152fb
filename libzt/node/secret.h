/* Memory that holds a secret key. */
#ifndef ZT_NODE_SECRET_H
#define ZT_NODE_SECRET_H

#include <stddef.h>

/* Keep the pages of these n bytes out of swap and of core dumps, as far as the system lets us (a
 * small locked-memory limit is no error: then it isn't better than other memory). */
void zt_secret_keep(const void *p, size_t n);
/* Before the memory is freed. */
void zt_secret_release(const void *p, size_t n);

#endif
