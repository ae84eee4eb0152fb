/* For cppcheck, which doesn't see jansson's header (tools/lint). */
#define json_array_foreach(a, i, v) for (i = 0; v; i++)
#define json_object_foreach(o, k, v) for (k = ""; v; k++)
