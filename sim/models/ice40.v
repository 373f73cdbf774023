// Behaviour of the iCE40 UltraPlus blocks that the generator instantiates, as far as it uses them.
// Sources: the vendor's usage guides for SPRAM and DSP, and its iCE technology library.

// 16384 words of 16 bits, one port. The output register holds what was read; a write leaves it
// undefined, here all ones, so that nobody comes to rely on it.
module SB_SPRAM256KA (
    input  wire [13:0] ADDRESS,
    input  wire [15:0] DATAIN,
    input  wire [3:0]  MASKWREN,
    input  wire        WREN,
    input  wire        CHIPSELECT,
    input  wire        CLOCK,
    input  wire        STANDBY,
    input  wire        SLEEP,
    input  wire        POWEROFF,
    output reg  [15:0] DATAOUT
);
    reg [15:0] memory [0:16383];
    wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
    wire awake = CHIPSELECT & POWEROFF & ~SLEEP & ~STANDBY;
    always @(posedge CLOCK)
        if (awake & WREN) begin
            memory[ADDRESS] <= (memory[ADDRESS] & ~mask) | (DATAIN & mask);
            DATAOUT <= 16'hFFFF;
        end else if (awake)
            DATAOUT <= memory[ADDRESS];
endmodule

// 16 x 16 signed product with the registers of operands, of partial products and of their sum: three
// cycles. Any other mode has no module here to be made of, so that no simulation of it is built.
module SB_MAC16 #(
    parameter [0:0] NEG_TRIGGER = 0,
    parameter [0:0] A_REG = 0, parameter [0:0] B_REG = 0,
    parameter [0:0] C_REG = 0, parameter [0:0] D_REG = 0,
    parameter [0:0] TOP_8x8_MULT_REG = 0, parameter [0:0] BOT_8x8_MULT_REG = 0,
    parameter [0:0] PIPELINE_16x16_MULT_REG1 = 0, parameter [0:0] PIPELINE_16x16_MULT_REG2 = 0,
    parameter [1:0] TOPOUTPUT_SELECT = 0, parameter [1:0] BOTOUTPUT_SELECT = 0,
    parameter [1:0] TOPADDSUB_LOWERINPUT = 0, parameter [1:0] BOTADDSUB_LOWERINPUT = 0,
    parameter [0:0] TOPADDSUB_UPPERINPUT = 0, parameter [0:0] BOTADDSUB_UPPERINPUT = 0,
    parameter [1:0] TOPADDSUB_CARRYSELECT = 0, parameter [1:0] BOTADDSUB_CARRYSELECT = 0,
    parameter [0:0] MODE_8x8 = 0, parameter [0:0] A_SIGNED = 0, parameter [0:0] B_SIGNED = 0
) (
    input CLK, CE, AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT,
    input OLOADTOP, OLOADBOT, OHOLDTOP, OHOLDBOT, ADDSUBTOP, ADDSUBBOT, CI, ACCUMCI, SIGNEXTIN,
    input [15:0] A, B, C, D,
    output [31:0] O
);
    localparam REGISTERED = {A_REG, B_REG, TOP_8x8_MULT_REG, BOT_8x8_MULT_REG,
                             PIPELINE_16x16_MULT_REG1, PIPELINE_16x16_MULT_REG2};
    localparam ADDERS = {TOPADDSUB_LOWERINPUT, BOTADDSUB_LOWERINPUT, TOPADDSUB_UPPERINPUT,
                         BOTADDSUB_UPPERINPUT, TOPADDSUB_CARRYSELECT, BOTADDSUB_CARRYSELECT};
    generate
        if (!(&REGISTERED & &TOPOUTPUT_SELECT & &BOTOUTPUT_SELECT & A_SIGNED & B_SIGNED)
            || |{NEG_TRIGGER, C_REG, D_REG, MODE_8x8, ADDERS})
            SB_MAC16_in_a_mode_without_a_model refused ();
    endgenerate

    reg signed [15:0] a = 0, b = 0;
    reg signed [31:0] parts = 0, sum = 0;
    assign O = sum;
    always @(posedge CLK) begin
        if ({CE, AHOLD, BHOLD, IRSTTOP, IRSTBOT} !== 5'b10000)
            $fatal(1, "SB_MAC16: its registers must neither hold nor be reset");
        a <= A; b <= B; parts <= a * b; sum <= parts;
    end
endmodule
