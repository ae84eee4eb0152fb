/* Identities for the simulator, made once with zt_identity_generate so that a run need not search
 * for them. The secrets are public: never for live use. */
#include "sim.h"

#include <assert.h>
#include <string.h>

#include "crypto/identity.h"

static const char *const first[] = {
    "aaea9946d3:0:1af53f9087dd7fe607d44e24ab1e90e814a4d53fe70a90058e079b0b5ff4ed07e04c39ed2e8"
    "f2728e21bbdcccd30bdd4b051afc251ad061c3421613cf21f9f6a:50a824488a439e89a165ce910bba17b06e"
    "04e71c2aff544142a5eec3e282a5594763150ddc7780748776915543d8970eea00c648c69994229d43d65a0c"
    "865a9a",
    "034d37575a:0:58a584180cac8c41153a4a43190d315239e9cedb7a2851197abf6939a962ed4cb761c112fdb"
    "2cbd50634c4484a5ffb0429988124cdf8b8f500bc74760c5ea4b4:4d3a1e3d657f64f692b7c3eed07440360b"
    "f517362f5e82059bb7160be41f053d49c5d8a072cd1c383b631cf15844e13b6b598877f75abaecefb862d563"
    "13a00b",
    "8d69180506:0:e6396b94af512941b307d628b6ad3c60192e1793e33e020d1b1cebe53313f31484fa33012d2"
    "8554b2560cc9f3eb5ce3f1da40ff565b02f5aaee8959cddbff0b6:4cd4d34b157e1bdcfea6d926a839c3dc62"
    "904d8526bb0b6056ca85bc8eb7a7e5855c4367418e71a39099e8d4ecf5ddc81485c828418128dccc41e69647"
    "b6bf1f",
    "16a2309d6b:0:cddeb38f06211683d68ffb39de51d39f947cbc3becd21b39d23ac2b50b296652950f932afd4"
    "1ea8682a39ffc8f9a385fc1ee7de677a5bb82ce746634e2923b8f:ecb9662e4b900a968dd5ea744dbd4c1349"
    "e4539e63899e00e0cc7ac00056e26f69eee5167ee3ab3d783ee6c793fcc292fc593d1ed5cfd37c023626de88"
    "f85e84",
    "a6685ad4c5:0:2b008607d59723f31dadb8845a19158595272e34400b1450f674c2e52729d943895ecfa8395"
    "524068b7e47870793e2532083047d04b36769fe787018219e1c80:e3c748ea3f0cc5e3c6402fcf0056289621"
    "2520ea50c4d4ad159565163142eca3e40b5cd0fc0013b616140d5f0c91df96d5244e4c46df90c67526bd060c"
    "0e7678",
    "240e7d42a1:0:11ce8c2a48a8bdcb9e9cb9b04c59709ea9377a87075cc736cc6a25d54c3d9d2b945384a40ae"
    "c4e7cf5e487d3e430faa2346dff07641a10c383b3cbd65b96eb24:95fc17ba39dc4a4740207758c78a0780d3"
    "5f51a9536ec0c90ed122202045da0a1d4322611a6916d1bc72c3aa2a723aecd9938ba22e37ab7e2dbcaf3476"
    "174333",
    "e6bb28b6c0:0:61f876707bb61dabb7af63a0f124d94f7ae211d94ef61e6abc9d8795ee129060d70bdc9afff"
    "6de4ee6d4f544c38e7cf791c357d72a936aeb029380c380c161ff:19370980d5deb2c7eb6acfe0a65d28ef93"
    "504a36de77689fee8e46d47f6a7e23aa00cf439e2b0175546a52a70a0d61c75bc3d1bff2840a5906575336fe"
    "1131d5",
    "148d526b0a:0:9b8d3e4391e5f166f39eda1ad3cb5c2dc70780a755786674829888c9fee8d25b415b8631256"
    "566788ebd8f6cd5af5902f789672028239b94116f6fc66dd0020d:e31a6c76e2e942ba6983f115ddb1e3a450"
    "1ff21c28ba7f2fdeb241723b761a10a06674cad1681d01a5639a1abca3d9408f2a77d37339a0d2ef2d4c6d83"
    "e58bd1",
    "fb0c306f47:0:4aa48cdb3f7944aea3a1428ebed2f1bbaac550a2f741b14c7ad9a417ea3ac10cc4506bf38a1"
    "cee25965fba9b518716a8f594ae20f9921ae33033271f9afcea59:db98671d9b5c22f8ca9dede094ba34db1e"
    "05453372c4945762bfe26bc52718f757cfdff66b1631234df4855282a1f251a92fd1ba4c5b31388f2692ed54"
    "cc2c90",
    "12a4335895:0:5f381158004d222bbcd330837aaa9353e0a2c70d7b88c39d412f7a7854f86e589b29887e990"
    "066f7affffa279c5f469796ded0cdf21e9674ec2d025097d9f9b6:c70190c7f785ad64ca3f63c3807174a802"
    "c143266478cbf85513c2ae8d026d40175d462df18a35be72cfb29e7894fa4dcf790719645c332bba56c661d1"
    "07d1b5",
    "de6a633e75:0:e9890eea0cff9c2ac842c1c710b715139dc2388163fc258a29741e1e43b990326a19bfb73c2"
    "9f04afc382f52fa885d7f00d9d4895a4f4e3bc31311384f380e3a:51c3a427273180e5b7dd5dda7349668953"
    "c389daf92b7436b0c350973c0e2b409a145a4195a78e3fce08e56ed5d7db3e50bd8be32e35fd6142f04c633f"
    "3b7195",
    "40a2ad3b84:0:63817979fffa328c4c8497797bc37219dbcf9b6ad29c58ca7445ac97369ccd67aaf6f5bc483"
    "8864f1875f8166ca3bd9634ea161f21388f48f042fca2b177aa20:4f6f5311a55eee3a4cc96a6d7a5e1df6b9"
    "6cc14fa3de11412826ae7d55a0a4adb094447c5ce7626eb7969a787f6bde6c51388d5722dca2578b11783825"
    "f02d05",
};

/* The others are written shorter: the key pair is the one that zt_keypair_generate makes of a
 * generator seeded with (number, n), and n is the least that passes the proof of work. */
static const struct {
    unsigned n;
    uint64_t addr;
} others[] = {
    {12, 0x12a200332a}, {1, 0xb578c24097},  {16, 0x865dd3e9f0}, {26, 0x8c6f300272},
    {8, 0x5f4dc8b403},  {5, 0x403fe017b8},  {7, 0x5f333103ec},  {18, 0xdcbee579b5},
    {7, 0xa42b299c9d},  {29, 0x299f57bef4}, {0, 0x67b949611c},  {50, 0xef427f0d0d},
    {1, 0x27367eb45c},  {1, 0x83fbe28239},  {10, 0x28b0a6dec7}, {0, 0xe2277009a1},
    {15, 0xf07eea06be}, {4, 0xcf1ea01b48},  {27, 0xb5e7e43240}, {1, 0x283c64a787},
    {4, 0x7b80dbd72f},  {2, 0x300e14c429},  {16, 0xeee2e9b134}, {9, 0xc7f2ac7687},
    {9, 0x149ecd6457},  {0, 0x236ed3197d},  {17, 0x546d728c37}, {20, 0xdd8083c2d9},
    {1, 0x68ecaedb03},  {10, 0x1f53e4787d}, {6, 0x95a73228cb},  {0, 0xe2847e6b17},
    {46, 0x3a9e402b0a}, {9, 0x6bf1f7e4a8},  {2, 0x364ce42633},  {12, 0x5efbf8947c},
    {6, 0x7a1e12813a},  {29, 0xf6f92f4148}, {4, 0xe2efe0832e},  {1, 0xa46a28d531},
    {10, 0xaea540f554}, {0, 0x666cfb3838},  {7, 0x624412d260},  {10, 0xdd7417fc7a},
    {8, 0xf0b77639ee},  {13, 0x271a6d0228}, {0, 0xfda770ecd9},  {11, 0xbe000352ad},
    {25, 0xeedcdb2e77}, {4, 0xa142df239b},  {21, 0x9e9080ff1d}, {54, 0x6d87ef9acb},
    {5, 0xb68b5af3cc},  {1, 0xe5cbbf4d6c},  {6, 0x6ee5e4a2fc},  {25, 0xf1b29ac5cf},
    {18, 0x296bfd0714}, {8, 0xfc04403943},  {1, 0xbc3858f299},  {31, 0x5f57ac182f},
    {22, 0x15afbeb707}, {5, 0x470d591559},  {3, 0x0897fe4e9e},  {11, 0x27fc713b89},
    {31, 0x64b3b8d280}, {6, 0xea68c7e614},  {0, 0xa6e8584737},  {13, 0x45b599787e},
    {4, 0xf6d63ef4e8},  {15, 0x50e63870f4}, {17, 0x33a0d1b0a2}, {2, 0xf21a4765d6},
    {15, 0xf119fcc658}, {2, 0xf033033860},  {16, 0x70129d936b}, {22, 0x728902d0ce},
    {16, 0x039afa8cd6}, {16, 0x4d976638b6}, {31, 0x84e8bf6780}, {1, 0x4d236d0ab0},
    {35, 0xfcfa46efad}, {8, 0x6945ed648b},  {28, 0x4a4df32cba}, {14, 0xaff9a8d6f6},
    {15, 0xe58b219638}, {8, 0xb594155958},  {7, 0xae3466c040},  {5, 0x1231e051d7},
    {11, 0x3595463db2}, {19, 0x0f86ea3d85}, {53, 0xbf59ae78e5}, {19, 0xb8269b9467},
    {0, 0x99a922c51e},  {10, 0xc05a1898c9}, {22, 0xec687679e3}, {25, 0xc77e0f93c0},
    {17, 0xb6c73dd630}, {1, 0x6bc623cec2},  {1, 0x6c04ba6441},  {3, 0x7e8d458b77},
    {0, 0xe48c0ebfe8},  {12, 0xda36f30655}, {10, 0xb22b93fa45}, {17, 0x9cb683f654},
    {8, 0xb66fd0b17d},  {13, 0xb0c7d8c883}, {8, 0xe2e58f1fc5},  {1, 0xb47297c333},
    {19, 0x89f474674f}, {3, 0x3a412a01bc},  {5, 0xc7346e20b9},  {0, 0xc7a91e4670},
    {12, 0x1b2403f9f8}, {11, 0xad8a063d1b}, {3, 0x6897ee2c98},  {0, 0x1a9d508f40},
    {6, 0x79ddb334c9},  {21, 0x6d787e47cf}, {6, 0x9fe56c6b7c},  {5, 0x88ab4476e9},
    {12, 0xce860c4f6c}, {25, 0xe104ad5835}, {4, 0x0c6f94e07f},  {7, 0x3793a90640},
    {7, 0xc285150894},  {26, 0x9b17f52d87}, {9, 0x8459c254c3},  {12, 0x87e1b7b24a},
    {0, 0x4559fcd401},  {17, 0x14b06647bb}, {4, 0xf7e9f0160b},  {6, 0x5582f9fc4f},
    {1, 0x6f4e907242},  {10, 0xb53297c468}, {18, 0x5851e1094a}, {5, 0x71f480e6e5},
    {10, 0x5c6da431f3}, {2, 0x5da7b19295},  {29, 0x0ccb17cc0d}, {4, 0xcab4a2a961},
    {8, 0x340e618ff6},  {2, 0xcfdf7edee6},  {13, 0x2af2e8a112}, {8, 0xed6440d812},
    {29, 0x582d7226b1}, {27, 0x03bf399986}, {18, 0xcfe5ad6d31}, {43, 0xa8d8757720},
    {8, 0xfc9e5bfbc2},  {13, 0x84547495f5}, {16, 0x192b54ef4d}, {12, 0x976e337675},
    {11, 0x6d6344384b}, {22, 0x5c5ec6de95}, {17, 0x051ec8b612}, {9, 0x5cde88faa0},
    {1, 0x08a947e733},  {18, 0xb27416285a}, {10, 0x85cb785d0e}, {3, 0x7fd4491811},
    {1, 0x6059442826},  {16, 0x7479b569e4}, {5, 0x7598687f1b},  {6, 0x9c034e29b3},
    {6, 0xd4b64d3100},  {18, 0xc242ee0784}, {7, 0x4f6c59ebfc},  {3, 0x7f1bdc75c0},
    {7, 0x0c43a11f76},  {10, 0x8f34f3c0d3}, {3, 0x58ddc429c5},  {30, 0x7b91541147},
    {27, 0x93a0e3dcf2}, {4, 0x4e912a821f},  {7, 0x01261854e2},  {2, 0x3f99c835f3},
    {16, 0xaf77e0db32}, {9, 0x41b8088e01},  {0, 0x2e86248016},  {0, 0xf03a86a9d9},
    {18, 0xd40050c8d9}, {0, 0x1b5d3f09a2},  {2, 0xb71735a0b6},  {0, 0x09f792a3c5},
    {1, 0x446b85ec98},  {10, 0x0cc4142ba8}, {2, 0xa23824f88b},  {6, 0xa5341745ba},
    {3, 0xc6a9592820},  {6, 0xe16f969509},  {16, 0x286d652457}, {0, 0xdaf8aca89a},
    {2, 0xb396a106e8},  {2, 0xb88ac5acec},  {20, 0xcf841ec489}, {58, 0x322cb546bb},
    {1, 0x92f100cea5},  {5, 0x3fe2960f01},  {22, 0x67b0de1902}, {3, 0xb390b546f6},
};

#define FIRST (sizeof first / sizeof *first)

static_assert(FIRST + sizeof others / sizeof *others == SIM_NODES, "an identity for each node");

void sim_identity(unsigned no, struct zt_identity *out)
{
    if (no < FIRST) {
        int rc = zt_identity_parse(first[no], strlen(first[no]), out);
        assert(rc == 0);
        (void)rc;
        return;
    }
    uint64_t state = (uint64_t)no << 32 | others[no - FIRST].n;
    zt_keypair_generate(sim_random, &state, out);
    out->addr = others[no - FIRST].addr;
}

/* Signs the planets of the simulator. */
const char *const sim_planet_key_pub =
    "50db8e74b85a16ab25e11572a82f16c2d52c4df6045129ddb810b76b4f7da36e8b445392016ce15edf730f01"
    "9807a5383a2caa1fd1a3f1a26b3860b25c940100";
const char *const sim_planet_key_priv =
    "6d51fca0852d282b0311005bd725f7164db90236af3afbdb3b595b4b40f48633c44ae7e815e861f188419d18"
    "83f0970000dcacab8715c1a0b5dd796124ce8905";
