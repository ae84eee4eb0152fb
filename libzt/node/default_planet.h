/* The planet that was compiled in (-Ddefault_planet=FILE), for homes that have none of their own. */
#ifndef ZT_NODE_DEFAULT_PLANET_H
#define ZT_NODE_DEFAULT_PLANET_H

extern const unsigned char zt_default_planet[];
extern const unsigned long zt_default_planet_size; /* bytes; 0: none was */

#endif
