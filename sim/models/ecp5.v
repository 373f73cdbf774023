// Behaviour of the ECP5 blocks that the generator instantiates, and of those that Yosys infers and
// has no model of, in the modes that are used and no others: with another parameter no simulation
// is built. Sources: the vendor's sysDSP and memory usage guides for ECP5, and the port and
// parameter lists in Yosys.

// 18 x 18 product: with input, pipeline and output registers on CLK0, three cycles; or with none.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTA_CE = "CE0",
    parameter REG_INPUTA_RST = "RST0",
    parameter REG_INPUTB_CLK = "NONE", parameter REG_INPUTB_CE = "CE0",
    parameter REG_INPUTB_RST = "RST0",
    parameter REG_PIPELINE_CLK = "NONE", parameter REG_PIPELINE_CE = "CE0",
    parameter REG_PIPELINE_RST = "RST0",
    parameter REG_OUTPUT_CLK = "NONE", parameter REG_OUTPUT_CE = "CE0",
    parameter REG_OUTPUT_RST = "RST0",
    parameter RESETMODE = "SYNC", parameter GSR = "ENABLED"
) (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
    output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33,
    output P34, P35
);
    // One bit more than an operand has: both kinds of it are signed there.
    wire signed [18:0] a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6,
                            A5, A4, A3, A2, A1, A0};
    wire signed [18:0] b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6,
                            B5, B4, B3, B2, B1, B0};
    localparam REGISTERED = REG_INPUTA_CLK == "CLK0";
    reg signed [18:0] a_q = 0, b_q = 0;
    reg signed [35:0] pipeline = 0, p_q = 0;
    wire signed [35:0] product = a * b;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
            P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1,
            P0} = REGISTERED ? p_q : product;
    generate
        if ((REG_INPUTA_CLK != "CLK0" && REG_INPUTA_CLK != "NONE")
            || REG_INPUTB_CLK != REG_INPUTA_CLK || REG_PIPELINE_CLK != REG_INPUTA_CLK
            || REG_OUTPUT_CLK != REG_INPUTA_CLK || REG_INPUTA_CE != "CE0"
            || REG_INPUTB_CE != "CE0" || REG_PIPELINE_CE != "CE0" || REG_OUTPUT_CE != "CE0"
            || REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0"
            || REG_PIPELINE_RST != "RST0" || REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC")
            MULT18X18D_in_a_mode_without_a_model refused ();
    endgenerate
    always @(posedge CLK0) begin
        if (SIGNEDA !== 1'b1 || SIGNEDB !== 1'b1 || SOURCEA !== 1'b0 || SOURCEB !== 1'b0)
            $fatal(1, "MULT18X18D: operands in registers must be signed and parallel");
        if (RST0) begin
            a_q <= 0; b_q <= 0; pipeline <= 0; p_q <= 0;
        end else if (CE0) begin
            a_q <= a; b_q <= b; pipeline <= a_q * b_q; p_q <= pipeline;
        end
    end
endmodule

// 18 kbit of memory: port A writes, both ports read, the word one cycle after its address, or two
// with the output register. Contents lie in bytes of 9 bits; words below 9 bits use the lower 8.
// With words of 36 bits (the vendor's PDPW16KD) port A only writes and port B only reads; the lower
// half is on port A's data pins, the upper half on port B's. A word that one port reads in the cycle
// in which the other writes it comes out as all ones, so that nobody comes to rely on it.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL", parameter GSR = "ENABLED",
    parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
    parameter [319:0] INITVAL_00 = 320'b0, parameter [319:0] INITVAL_01 = 320'b0,
    parameter [319:0] INITVAL_02 = 320'b0, parameter [319:0] INITVAL_03 = 320'b0,
    parameter [319:0] INITVAL_04 = 320'b0, parameter [319:0] INITVAL_05 = 320'b0,
    parameter [319:0] INITVAL_06 = 320'b0, parameter [319:0] INITVAL_07 = 320'b0,
    parameter [319:0] INITVAL_08 = 320'b0, parameter [319:0] INITVAL_09 = 320'b0,
    parameter [319:0] INITVAL_0A = 320'b0, parameter [319:0] INITVAL_0B = 320'b0,
    parameter [319:0] INITVAL_0C = 320'b0, parameter [319:0] INITVAL_0D = 320'b0,
    parameter [319:0] INITVAL_0E = 320'b0, parameter [319:0] INITVAL_0F = 320'b0,
    parameter [319:0] INITVAL_10 = 320'b0, parameter [319:0] INITVAL_11 = 320'b0,
    parameter [319:0] INITVAL_12 = 320'b0, parameter [319:0] INITVAL_13 = 320'b0,
    parameter [319:0] INITVAL_14 = 320'b0, parameter [319:0] INITVAL_15 = 320'b0,
    parameter [319:0] INITVAL_16 = 320'b0, parameter [319:0] INITVAL_17 = 320'b0,
    parameter [319:0] INITVAL_18 = 320'b0, parameter [319:0] INITVAL_19 = 320'b0,
    parameter [319:0] INITVAL_1A = 320'b0, parameter [319:0] INITVAL_1B = 320'b0,
    parameter [319:0] INITVAL_1C = 320'b0, parameter [319:0] INITVAL_1D = 320'b0,
    parameter [319:0] INITVAL_1E = 320'b0, parameter [319:0] INITVAL_1F = 320'b0,
    parameter [319:0] INITVAL_20 = 320'b0, parameter [319:0] INITVAL_21 = 320'b0,
    parameter [319:0] INITVAL_22 = 320'b0, parameter [319:0] INITVAL_23 = 320'b0,
    parameter [319:0] INITVAL_24 = 320'b0, parameter [319:0] INITVAL_25 = 320'b0,
    parameter [319:0] INITVAL_26 = 320'b0, parameter [319:0] INITVAL_27 = 320'b0,
    parameter [319:0] INITVAL_28 = 320'b0, parameter [319:0] INITVAL_29 = 320'b0,
    parameter [319:0] INITVAL_2A = 320'b0, parameter [319:0] INITVAL_2B = 320'b0,
    parameter [319:0] INITVAL_2C = 320'b0, parameter [319:0] INITVAL_2D = 320'b0,
    parameter [319:0] INITVAL_2E = 320'b0, parameter [319:0] INITVAL_2F = 320'b0,
    parameter [319:0] INITVAL_30 = 320'b0, parameter [319:0] INITVAL_31 = 320'b0,
    parameter [319:0] INITVAL_32 = 320'b0, parameter [319:0] INITVAL_33 = 320'b0,
    parameter [319:0] INITVAL_34 = 320'b0, parameter [319:0] INITVAL_35 = 320'b0,
    parameter [319:0] INITVAL_36 = 320'b0, parameter [319:0] INITVAL_37 = 320'b0,
    parameter [319:0] INITVAL_38 = 320'b0, parameter [319:0] INITVAL_39 = 320'b0,
    parameter [319:0] INITVAL_3A = 320'b0, parameter [319:0] INITVAL_3B = 320'b0,
    parameter [319:0] INITVAL_3C = 320'b0, parameter [319:0] INITVAL_3D = 320'b0,
    parameter [319:0] INITVAL_3E = 320'b0, parameter [319:0] INITVAL_3F = 320'b0
) (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12,
    ADA13,
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12,
    DIA13, DIA14, DIA15, DIA16, DIA17,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12,
    ADB13,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12,
    DIB13, DIB14, DIB15, DIB16, DIB17,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12,
    DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12,
    DOB13, DOB14, DOB15, DOB16, DOB17
);
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3,
        ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3,
        ADB2, ADB1, ADB0};
    wire [35:0] di = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
        DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12,
        DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    reg [8:0] bytes [0:2047];
    reg [17:0] word_a = 0, word_b = 0, dob = 0, doa = 0;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = REGMODE_A == "OUTREG" ? doa : word_a;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = REGMODE_B == "OUTREG" ? dob : word_b;

    localparam [64*320-1:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00};
    integer k;
    initial
        for (k = 0; k < 2048; k = k + 1)
            bytes[k] = INIT[k / 2 * 20 + k % 2 * 9 +: 9];

    localparam WIDE = DATA_WIDTH_A == 36;
    localparam LOW_A = low(DATA_WIDTH_A), LOW_B = low(DATA_WIDTH_B);
    localparam LOW = LOW_A > LOW_B ? LOW_A : LOW_B;
    generate
        if (LOW_A < 0 || LOW_B < 0 || WIDE != (DATA_WIDTH_B == 36)
            || (REGMODE_A != "OUTREG" && REGMODE_A != "NOREG")
            || (REGMODE_B != "OUTREG" && REGMODE_B != "NOREG")
            || (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
            || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
            || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
            || (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE"))
            DP16KD_in_a_mode_without_a_model refused ();
    endgenerate
    // Bits of an address below that of a word.
    function integer low(input integer width);
        case (width)
            36: low = 5;
            18: low = 4;
            9: low = 3;
            4: low = 2;
            2: low = 1;
            1: low = 0;
            default: low = -1;
        endcase
    endfunction
    function [17:0] read(input [13:0] address, input integer width);
        case (width)
            36, 18: read = {bytes[{address[13:4], 1'b1}], bytes[{address[13:4], 1'b0}]};
            9: read = {9'b0, bytes[address[13:3]]};
            4: read = {14'b0, bytes[address[13:3]][address[2] * 4 +: 4]};
            2: read = {16'b0, bytes[address[13:3]][address[2:1] * 2 +: 2]};
            default: read = {17'b0, bytes[address[13:3]][address[2:0]]};
        endcase
    endfunction

    wire chosen = ~(CSA0 | CSA1 | CSA2 | CSB0 | CSB1 | CSB2);
    // The lowest pins of the address enable the bytes of 18 and 36 bits.
    wire [3:0] enables = WIDE ? ada[3:0] : DATA_WIDTH_A == 18 ? {2'b0, ada[1:0]} : 4'b1;
    wire writes = CEA & WEA & chosen;
    wire meets = writes & (|enables) & ada >> LOW == adb >> LOW;
    always @(posedge CLKA)
        if (writes)
            case (DATA_WIDTH_A)
                36, 18, 9: for (k = 0; k < 4; k = k + 1)
                    if (enables[k]) bytes[(ada >> LOW_A << (LOW_A - 3)) + k] <= di[9 * k +: 9];
                4: bytes[ada[13:3]][ada[2] * 4 +: 4] <= di[3:0];
                2: bytes[ada[13:3]][ada[2:1] * 2 +: 2] <= di[1:0];
                default: bytes[ada[13:3]][ada[2:0]] <= di[0];
            endcase

    // What shows on port A's pins: of wide words the lower half, read by port B.
    wire clk_a = WIDE ? CLKB : CLKA, ce_a = WIDE ? CEB : CEA, oce_a = WIDE ? OCEB : OCEA;
    wire rst_a = WIDE ? RSTB : RSTA;
    // A port that writes goes on showing what it has read, or shows what it replaces.
    wire keeps = ~WIDE & WEA & WRITEMODE_A == "NORMAL";
    wire clear_a = RESETMODE == "ASYNC" & rst_a, clear_b = RESETMODE == "ASYNC" & RSTB;
    always @(posedge clk_a, posedge clear_a)
        if (rst_a) begin
            word_a <= 0; doa <= 0;
        end else begin
            if (ce_a & chosen & ~keeps)
                word_a <= WIDE & meets ? 18'h3FFFF
                          : read(WIDE ? {adb[13:5], 5'd0} : ada, DATA_WIDTH_A);
            if (oce_a) doa <= word_a;
        end
    always @(posedge CLKB, posedge clear_b) begin
        if (WEB !== 1'b0)
            $fatal(1, "DP16KD: port B must not write");
        if (RSTB) begin
            word_b <= 0; dob <= 0;
        end else begin
            if (CEB & chosen)
                word_b <= meets ? 18'h3FFFF : read(WIDE ? {adb[13:5], 5'd16} : adb, DATA_WIDTH_B);
            if (OCEB) dob <= word_b;
        end
    end
endmodule
