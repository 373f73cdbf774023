// Behind sim/fast_driver.cpp: every signal of the core by name, and a flip of one of its bits.
#include "verilated_sym_props.h"
#include "verilated_syms.h"

#include <string>
#include <vector>

namespace {

struct Place {
    uint8_t *data;
    uint64_t bits, elements, bytes;
};

std::vector<Place> places;
std::string names;

}  // namespace

extern "C" {

// A line a signal: scope, name, bits, elements; the number of the line is the signal's.
__attribute__((visibility("default"))) const char *gw_names(Sim *sim) {
    places.clear();
    names.clear();
    for (const auto &scope : *sim->context.scopeNameMap()) {
        const auto *vars = scope.second->varsp();
        if (!vars) continue;
        for (const auto &[name, var] : *vars) {
            if (var.isParam()) continue;
            uint64_t elements = 1;
            for (int k = 1; k <= var.udims(); ++k) elements *= var.elements(k);
            places.push_back({static_cast<uint8_t *>(var.datap()), var.entBits(), elements,
                              var.entSize()});
            names += std::string{scope.second->name()} + '\t' + name + '\t'
                     + std::to_string(var.entBits()) + '\t' + std::to_string(elements) + '\n';
        }
    }
    return names.c_str();
}

// Flips a bit behind a clock edge; returns whether it stays so once all logic has settled.
__attribute__((visibility("default"))) uint64_t gw_flip(Sim *sim, uint64_t at, uint64_t element,
                                                        uint64_t bit) {
    uint8_t &byte = places[at].data[element * places[at].bytes + bit / 8];
    const uint8_t before = byte;
    byte ^= 1 << bit % 8;
    sim->top.clk = 0;
    sim->top.eval();
    return (byte ^ before) >> bit % 8 & 1;
}

}  // extern "C"
